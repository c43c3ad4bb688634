"""Layers of a GGUF, computed by libllama."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from cluster.api.errors import CapacityError, ClusterError, ModelFileError, UsageError
from cluster.messages.stage import StageCosts
from cluster.messages.step import Float32Array, Microbatch
from cluster.sources.adapter import read_adapter_part
from cluster.sources.freshness import file_states
from cluster.sources.opening import open_model
from cluster.stage.model import StageSizes
from cluster.stage.models.prepared import prepare
from cluster.stage.models.row_sizes import row_sizes
from cluster.stage.models.timing import timed_rows
from cluster.stage.spec import GgufOptions, OnProgress, StageSpec
from cluster.stage.tuning import MEASURE_S
from cluster.wire.access.keys import Keys
from worker_native import Slice


class LoadedAdapter(NamedTuple):
    """An adapter as a stage has it."""

    data: bytes  # the GGUF of its part for the stage; b"" where it adds nothing there
    scale: float  # unless a step has another


class GgufModel:
    """Implements `stage.model.StageModel` with a native slice."""

    def __init__(
        self,
        spec: StageSpec,
        options: GgufOptions,
        path: str,
        build: str,
        use_extra_bufts: bool,
        progress: Callable[[float], None],
        use_mmap: bool = True,
        adapters: Sequence[LoadedAdapter] = (),
        measure_s: float = MEASURE_S,
    ) -> None:
        """Load the slice file at `path`. UsageError if it cannot be loaded, CapacityError if memory is short.

        `use_mmap`: weights stay in the file, to which nobody may write. `adapters`: all of the cluster, in order.
        `measure_s`: most that `measure` takes, or a little more.
        """
        self._spec = spec
        self._adapters = tuple(adapters)
        self._measure_s = measure_s
        self.build = build
        with _errors_of(spec.stage):
            self._slice = Slice(
                path,
                device=spec.device,
                n_ctx=spec.context_length,
                n_slots=spec.num_slots,
                n_batch=spec.ubatch_size,
                n_ubatch=spec.ubatch_size,
                n_threads=spec.num_threads,
                type_k=options.type_k,
                type_v=options.type_v,
                flash_attn=options.flash_attn,
                use_extra_bufts=use_extra_bufts,
                use_mmap=use_mmap,
                embeds=options.embeds,
                adapters=[(one.data, one.scale) for one in adapters if one.data],
                progress=progress,
            )
        self.is_last = self._slice.is_last
        self.hidden_width = self._slice.hidden_width
        self.picture_width, self.picture_out_width = self._slice.picture_width, self._slice.picture_out_width
        self.vocab_size = self._slice.vocab_size
        self.prepare_slot = self._slice.prepare_slot
        self.close = self._slice.close

    def sizes(self) -> StageSizes:
        weight_bytes = self._slice.weight_bytes + sum(len(one.data) for one in self._adapters)
        return StageSizes(weight_bytes, self._slice.kv_bytes, self._slice.compute_bytes)

    def check(self, batch: Microbatch) -> None:
        self._slice.check_microbatch(
            batch.tokens,
            batch.positions,
            batch.slots,
            batch.wants_logits,
            embeds=batch.embeds,
            pictures=_pictures(batch),
            non_causal=batch.non_causal,
        )
        self._scales_of(batch)

    def forward(self, batch: Microbatch, hidden: Float32Array | None) -> Float32Array:
        self._slice.set_threads(self._spec.num_threads_exclusive if batch.exclusive else self._spec.num_threads)
        if self._adapters:
            self._slice.set_scales(self._scales_of(batch))
        made = self._slice.forward(
            batch.tokens,
            batch.positions,
            batch.slots,
            batch.wants_logits,
            hidden,
            embeds=batch.embeds,
            pictures=_pictures(batch),
            non_causal=batch.non_causal,
        )
        if made is not None:
            return made
        if not batch.wants_logits.any():
            return np.empty((0, self._slice.embedding_width if batch.embeds else self.vocab_size), np.float32)
        return self._slice.wanted_embeddings() if batch.embeds else self._slice.wanted_logits()

    def _scales_of(self, batch: Microbatch) -> list[float]:
        """Of those adapters that add something here. ValueError unless there is one for each of the cluster."""
        adapters, scales = self._adapters, batch.scales or [one.scale for one in self._adapters]
        if len(scales) != len(adapters):
            raise ValueError(f"scales: {len(scales)} of them; give one for each of {len(adapters)} adapters")
        return [scale for one, scale in zip(adapters, scales, strict=True) if one.data]

    def measure(self) -> StageCosts:
        """Time steps of few rows, and let those be padded that are slower than larger ones."""
        most_rows = min(self._spec.num_slots, self._spec.ubatch_size)

        def step_ms(num_rows: int) -> float:
            self._slice.measure_rows(num_rows)  # builds the graph
            return self._slice.measure_rows(num_rows)

        decode_ms = timed_rows(step_ms, most_rows, self._measure_s)
        sizes = row_sizes(decode_ms, most_rows)
        self._slice.set_row_sizes(sizes)
        computed_ms = {rows: decode_ms[sizes[rows - 1]] for rows in decode_ms}
        # Lent cores are not free now, while the other stages load.
        return StageCosts.of(tuple(computed_ms.items()), self._spec.num_threads_exclusive / self._spec.num_threads)


def _pictures(batch: Microbatch) -> list[tuple[int, int, int, int]]:
    return [(one.slot, one.first, one.width, one.height) for one in batch.pictures]


def open_gguf(spec: StageSpec, options: GgufOptions, report: OnProgress, keys: Keys | None = None) -> GgufModel:
    """Cut or fetch, and load what `spec` asks for, reporting (phase, fraction); `keys` are this node's, for peers.

    UsageError for a bad source, UnreachableError for one that does not answer, CapacityError for a lack of disk or
    memory, ClusterError if the library fails its self-test.
    """
    before = file_states(spec.source)
    library, stored = prepare(spec, report, keys)
    # The store's files are never written to. A whole model is the user's own file: that may be.
    is_stored = bool(stored.key)
    model = GgufModel(
        spec,
        options,
        str(stored.path),
        library.build,
        library.use_extra_bufts,
        lambda fraction: report("loading", fraction),
        use_mmap=is_stored,
        adapters=_adapters(spec, options, keys),
    )
    if not is_stored and file_states(spec.source) != before:
        model.close()
        raise ModelFileError(f"{stored.path}: file: changed while it was loaded; run cluster up again")
    return model


def _adapters(spec: StageSpec, options: GgufOptions, keys: Keys | None) -> list[LoadedAdapter]:
    """Of each adapter, what is added to this stage's layers."""
    if not options.adapters:
        return []
    model = open_model(spec.source, spec.model_hash, keys).gguf
    peers = [peer.endpoint(keys) for peer in spec.source.peers]
    parts = [read_adapter_part(one, model, spec.first, spec.end, peers) for one in options.adapters]
    return [LoadedAdapter(part, one.scale) for part, one in zip(parts, options.adapters, strict=True)]


@contextmanager
def _errors_of(stage: int) -> Iterator[None]:
    """What loading raises, as errors of ours."""
    try:
        yield
    except MemoryError as error:
        raise CapacityError(
            f"stage {stage}: {error}; use more stages, a smaller --ctx-size or fewer slots (-np)"
        ) from error
    except ValueError as error:
        raise UsageError(f"stage {stage}: {error}") from error
    except RuntimeError as error:
        raise ClusterError(f"stage {stage}: {error}") from error
