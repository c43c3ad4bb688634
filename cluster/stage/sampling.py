"""Sampling on the last stage: what its slots are asked for, and a token for each row that wants one."""

from __future__ import annotations

import numpy as np

import worker_native
from cluster.api.sampling import SAMPLER_NAMES, SamplingParams
from cluster.messages.step import Float32Array, Microbatch, SampledToken, SlotSampling
from cluster.stage.slot_failures import SlotFailures, StepRows
from cluster.stage.spec import StageSpec


class StageSampler:
    """Samples from logits, whatever made them. It has to be told what happens to the slots."""

    def __init__(self, spec: StageSpec, vocab_size: int) -> None:
        self._native = worker_native.Sampler(vocab_size=vocab_size, n_slots=spec.num_slots, n_ctx=spec.context_length)

    def set(self, item: SlotSampling) -> None:
        """Lasts until `prepare_slot` empties the slot or copies into it."""
        self._native.set(item.slot, native_params(item.params))

    def prepare_slot(self, slot: int, source: int, length: int) -> None:
        """Let `slot` hold the first `length` tokens that `source` holds."""
        self._native.prepare_slot(slot, source, length)

    def keep(self, batch: Microbatch, rows: StepRows) -> None:
        """Note the tokens of the computed rows: the penalties look at them."""
        self._native.keep(rows.of(batch.tokens), rows.of(batch.positions), rows.of(batch.slots))

    def sample(
        self, batch: Microbatch, rows: StepRows, logits_LV: Float32Array, failures: SlotFailures
    ) -> tuple[SampledToken, ...]:
        """One token for each computed row of `batch.samples`, of which a slot may have several.

        `logits_LV`: those of the L computed rows that want logits, in their order. A row that allows no token fails
        its slot.
        """
        wanted = rows.computed(batch.samples.tolist())
        flags = rows.of(batch.wants_logits)
        place_of_row = np.where(flags, np.cumsum(flags) - 1, -1)  # -1 is refused
        places = place_of_row[rows.indices(wanted)].tolist()
        slots, positions = batch.slots[wanted].tolist(), batch.positions[wanted].tolist()
        sampled = []
        for row, slot, one in zip(wanted, slots, self._native.sample(logits_LV, places, slots, positions), strict=True):
            if one.error:
                failures.add(slot, one.error)
            else:
                sampled.append(SampledToken(row, slot, one.token, one.logprob, tuple(one.top)))
        return tuple(sampled)


def native_params(params: SamplingParams) -> worker_native.SamplerParams:
    """What the native sampler takes; it has the same names and ranges."""
    assert params.seed is not None, "the coordinator chooses a seed before a slot is announced"
    return worker_native.SamplerParams(**{name: getattr(params, name) for name in SAMPLER_NAMES})
