"""The sampler behind any last stage: libllama's samplers, on logits that lie anywhere in memory."""

from __future__ import annotations

from collections.abc import Sequence

import worker_native
from cluster.api.sampling import SAMPLER_NAMES, SamplingParams
from cluster.messages.step import Float32Array, SlotSampling
from cluster.stage.model import Masks
from cluster.stage.spec import StageSpec


class NativeSampler:
    """Implements `stage.model.MaskedSampler`."""

    def __init__(self, spec: StageSpec, vocab_size: int) -> None:
        native = worker_native.Sampler(vocab_size=vocab_size, n_slots=spec.num_slots, n_ctx=spec.context_length)
        self._native = native
        self.prepare_slot = native.prepare_slot
        self.keep = native.keep

    def set(self, sampling: SlotSampling) -> None:
        self._native.set(sampling.slot, native_params(sampling.params))

    def sample(
        self,
        logits: Float32Array,
        rows: Sequence[int],
        slots: Sequence[int],
        positions: Sequence[int],
        masks: Masks = (),
    ) -> list[worker_native.Sampled]:
        return self._native.sample(logits, rows, slots, positions, masks)


def native_params(params: SamplingParams) -> worker_native.SamplerParams:
    """What the native sampler takes; it has the same names and ranges."""
    assert params.seed is not None, "the coordinator chooses a seed before a slot is announced"
    return worker_native.SamplerParams(**{name: getattr(params, name) for name in SAMPLER_NAMES})
