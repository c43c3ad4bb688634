"""Runs microbatches through one native slice: slots to free, rows to compute, tokens to draw."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import worker_native
from cluster.errors import CapacityError, ClusterError, UsageError
from cluster.messages import Float32Array, Microbatch, SampledToken, SlotSampling, StageCosts, StepResult
from cluster.sampling import SamplingParams
from cluster.stage.spec import StageSpec

MEASURED_ROWS = 8
MEASURE_REPEATS = 3  # the first one builds the graph
MEASURE_S = 3.0  # of a large model, fewer sizes are measured


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


class StageCompute:
    """Owns a native slice. One thread at a time may call it."""

    def __init__(self, spec: StageSpec, path: str, use_extra_bufts: bool, progress: Callable[[float], None]) -> None:
        """Load the slice file at `path`. UsageError if it cannot be loaded, CapacityError if memory is short."""
        self._spec = spec
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

    @property
    def hidden_width(self) -> int:
        return self._slice.hidden_width

    def sizes(self) -> StageSizes:
        """What the slice takes. Not while a step runs."""
        return StageSizes(self._slice.weight_bytes, self._slice.kv_bytes, self._slice.compute_bytes)

    def reset(self) -> None:
        """Forget every sequence: a new epoch begins."""
        for slot in range(self._spec.num_slots):
            self._slice.prepare_slot(slot, slot, 0)

    def run(self, batch: Microbatch, hidden: Float32Array | None) -> StepOutput:
        """Compute one microbatch. ValueError or RuntimeError from the native side means the stage is unusable."""
        for start in batch.slot_starts:
            self._slice.prepare_slot(start.slot, start.source, start.length)
        self._slice.set_threads(self._spec.num_threads_alone if batch.alone else self._spec.num_threads)
        if self._slice.is_last:
            for item in batch.new_sampling:
                self._slice.set_sampler(item.slot, _native_params(item))
        rows = self._slice.forward(batch.tokens, batch.positions, batch.slots, batch.wants_logits, hidden)
        if not self._slice.is_last:
            return StepOutput(rows, None)
        sampled = tuple(
            SampledToken(drawn.row, drawn.slot, drawn.token, drawn.logprob, tuple(drawn.top))
            for drawn in self._slice.sample(batch.samples.tolist())
        )
        wanted = batch.returns_logits.tolist()
        return StepOutput(None, StepResult(batch.id, sampled, self._slice.logits(wanted) if wanted else None))

    def measure(self) -> StageCosts:
        """Time steps of few rows. All slots must be empty, and are again."""
        decode_ms: list[float] = []
        deadline_s = time.monotonic() + MEASURE_S
        for num_rows in range(1, min(MEASURED_ROWS, self._spec.num_slots, self._spec.ubatch_size) + 1):
            spans_ms = [self._time_rows(num_rows) for _ in range(MEASURE_REPEATS)]
            decode_ms.append(min(spans_ms))
            if time.monotonic() > deadline_s:
                break
        return StageCosts(tuple(decode_ms), self._spec.num_threads_alone / self._spec.num_threads)

    def _time_rows(self, num_rows: int) -> float:
        """Milliseconds for a step of `num_rows` slots."""
        rows = np.arange(num_rows, dtype=np.int32)
        nothing = np.zeros(num_rows, np.int32)
        hidden = None if self._slice.is_first else np.zeros((num_rows, self._slice.hidden_width), np.float32)
        start_s = time.perf_counter()
        self._slice.forward(nothing, nothing, rows, np.ones(num_rows, np.bool_), hidden)
        span_ms = (time.perf_counter() - start_s) * 1e3
        self.reset()
        return span_ms

    def close(self) -> None:
        """Free the weights and the KV cache."""
        self._slice.close()


def _native_params(item: SlotSampling) -> worker_native.SamplerParams:
    params: SamplingParams = item.params
    assert params.seed is not None, "the coordinator chooses a seed before a slot is announced"
    return worker_native.SamplerParams(
        temperature=params.temperature,
        top_k=params.top_k,
        top_p=params.top_p,
        min_p=params.min_p,
        seed=params.seed,
        repeat_penalty=params.repeat_penalty,
        repeat_last_n=params.repeat_last_n,
        presence_penalty=params.presence_penalty,
        frequency_penalty=params.frequency_penalty,
        logprobs=params.logprobs,
    )
