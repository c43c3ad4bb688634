"""Runs microbatches through one native slice: slots to free, rows to compute, tokens to sample."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import worker_native
from cluster.api.errors import CapacityError, ClusterError, UsageError
from cluster.messages.stage import StageCosts
from cluster.messages.step import Float32Array, Microbatch, SlotFailure, StepResult
from cluster.stage.sampling import StageSampler
from cluster.stage.slot_failures import SlotFailures, forward
from cluster.stage.spec import StageSpec
from cluster.stage.tuning import (
    MEASURE_ROUNDS,
    MEASURE_S,
    MEASURED_ROWS,
    MOST_PADDING,
    PADDING_GAIN,
    PERIOD,
)


@dataclass(frozen=True, slots=True)
class StageSizes:
    """Memory of a loaded slice, in bytes."""

    weight_bytes: int = 0
    kv_bytes: int = 0
    compute_bytes: int = 0


@dataclass(frozen=True, slots=True)
class StepOutput:
    """What one microbatch leaves behind: hidden rows [T, E] for the next stage, or the last stage's result."""

    hidden: Float32Array | None
    result: StepResult | None
    failures: tuple[SlotFailure, ...] = ()  # slots whose rows are zeros, for the next stage


class StageCompute:
    """Owns a native slice. One thread at a time may call it."""

    def __init__(
        self,
        spec: StageSpec,
        path: str,
        use_extra_bufts: bool,
        progress: Callable[[float], None],
        use_mmap: bool = True,
        measure_s: float = MEASURE_S,
    ) -> None:
        """Load the slice file at `path`. UsageError if it cannot be loaded, CapacityError if memory is short.

        `use_mmap`: weights stay in the file, to which nobody may write. `measure_s`: most that `measure` takes, or a
        little more.
        """
        self._spec = spec
        self._measure_s = measure_s
        try:
            self._slice = worker_native.Slice(
                path,
                device=spec.device,
                n_ctx=spec.context_length,
                n_slots=spec.num_slots,
                n_batch=spec.ubatch_size,
                n_ubatch=spec.ubatch_size,
                n_threads=spec.num_threads,
                type_k=spec.type_k,
                type_v=spec.type_v,
                flash_attn=spec.flash_attn,
                use_extra_bufts=use_extra_bufts,
                use_mmap=use_mmap,
                progress=progress,
            )
        except MemoryError as error:
            raise CapacityError(
                f"stage {spec.stage}: {error}; use more stages, a smaller --ctx-size or fewer slots (-np)"
            ) from error
        except ValueError as error:
            raise UsageError(f"stage {spec.stage}: {error}") from error
        except RuntimeError as error:
            raise ClusterError(f"stage {spec.stage}: {error}") from error
        self._sampler = StageSampler(spec, self._slice.vocab_size) if self._slice.is_last else None

    @property
    def hidden_width(self) -> int:
        return self._slice.hidden_width

    def sizes(self) -> StageSizes:
        """What the slice takes. Not while a step runs."""
        return StageSizes(self._slice.weight_bytes, self._slice.kv_bytes, self._slice.compute_bytes)

    def reset(self) -> None:
        """Forget every sequence: a new epoch begins."""
        for slot in range(self._spec.num_slots):
            self._prepare_slot(slot, slot, 0)

    def run(self, batch: Microbatch, hidden: Float32Array | None) -> StepOutput:
        """Compute one microbatch. What one slot alone cannot do is told for that slot, and the others go on.

        ValueError or RuntimeError from the native side means the stage is unusable.
        """
        failures = SlotFailures(self._prepare_slot, self._spec.stage, batch.failures)
        failures.start(batch.slot_starts)
        self._slice.set_threads(self._spec.num_threads_alone if batch.exclusive else self._spec.num_threads)
        if self._sampler is not None:
            for item in batch.new_sampling:
                failures.guard(item.slot, self._sampler.set, item)
        rows, hidden_rows = forward(self._slice, batch, hidden, failures)
        if self._sampler is None:
            return StepOutput(hidden_rows, None, failures.all)
        self._sampler.keep(batch, rows)
        has_logits = len(rows.computed(batch.samples.tolist())) > 0
        sampled = self._sampler.sample(batch, rows, self._slice.wanted_logits(), failures) if has_logits else ()
        logits = rows.logits(self._slice, batch.returns_logits.tolist())
        return StepOutput(None, StepResult(batch.id, sampled, logits, failures.all))

    def measure(self) -> StageCosts:
        """Time steps of few rows, and let those be padded that are slower than larger ones. All slots are empty."""
        decode_ms: dict[int, float] = {}
        deadline_s = time.monotonic() + self._measure_s
        most_rows = min(self._spec.num_slots, self._spec.ubatch_size)
        # Round after round, so that what disturbs one is not taken for the cost of one size.
        for num_rows in [size for size in MEASURED_ROWS if size <= most_rows] * MEASURE_ROUNDS:
            self._slice.measure_rows(num_rows)  # builds the graph
            decode_ms[num_rows] = min(self._slice.measure_rows(num_rows), decode_ms.get(num_rows, math.inf))
            if time.monotonic() > deadline_s:
                break
        sizes = row_sizes(decode_ms, most_rows)
        self._slice.set_row_sizes(sizes)
        computed_ms = {rows: decode_ms[sizes[rows - 1]] for rows in decode_ms}
        # Cores that are lent are not free now, while the other stages load: all of them are taken to be of use.
        speedup = self._spec.num_threads_alone / self._spec.num_threads
        alone_ms = {rows: took_ms / speedup for rows, took_ms in computed_ms.items()} if speedup > 1 else {}
        return StageCosts(tuple(computed_ms.items()), tuple(alone_ms.items()))

    def _prepare_slot(self, slot: int, source: int, length: int) -> None:
        self._slice.prepare_slot(slot, source, length)
        if self._sampler is not None:
            self._sampler.prepare_slot(slot, source, length)

    def close(self) -> None:
        """Free the weights and the KV cache."""
        self._slice.close()


def row_sizes(decode_ms: Mapping[int, float], most_rows: int) -> list[int]:
    """How many rows to compute for 1, 2, ... `most_rows`: more where that takes clearly less time.

    Kernels compute some rows at once, and what is left over row by row: beyond those that were measured one by one,
    the last PERIOD of them repeat.
    """
    sizes: list[int] = []
    for num_rows in range(1, most_rows + 1):
        if num_rows in decode_ms:
            near = (size for size in decode_ms if num_rows <= size <= num_rows + MOST_PADDING)
            fastest = min(near, key=decode_ms.__getitem__)
            is_worth_it = decode_ms[fastest] < PADDING_GAIN * decode_ms[num_rows]
            sizes.append(fastest if is_worth_it else num_rows)
        elif num_rows > 2 * PERIOD:
            sizes.append(min(sizes[-PERIOD] + PERIOD, most_rows))
        else:
            sizes.append(num_rows)
    return sizes
