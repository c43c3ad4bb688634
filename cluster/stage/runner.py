"""Runs microbatches through one model: slots to prepare, rows to compute, tokens to sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cluster.messages.step import NO_TOKEN, Float32Array, Int32Array, Microbatch, SampledToken, StepResult
from cluster.stage.computing import StepOutput
from cluster.stage.forward import Computed, forward
from cluster.stage.kept_rows import KeptRows
from cluster.stage.model import Sampler, StageModel
from cluster.stage.pooling import Pooler
from cluster.stage.slot_failures import SlotFailures
from cluster.stage.spec import StageSpec


class StageRunner:
    """Owns a model, and the sampler behind it if it is the last. One thread at a time may call it."""

    def __init__(self, spec: StageSpec, model: StageModel, sampler: Sampler | None) -> None:
        assert model.is_last == (sampler is not None), "the last stage samples, and no other"
        self._spec = spec
        self.model = model
        self._sampler = sampler
        self._pooler = Pooler()
        max_bytes = 0 if model.is_last else spec.keep_bytes
        self._kept = KeptRows(max_bytes, model.hidden_width, spec.num_slots, spec.context_length)

    @property
    def kept(self) -> tuple[int, ...]:
        """How many hidden rows are kept of each slot; () where none ever are."""
        return self._kept.lengths

    def reset(self) -> None:
        """Forget every sequence."""
        for slot in range(self._spec.num_slots):
            self._prepare_slot(slot, slot, 0)

    def run(self, batch: Microbatch, hidden: Float32Array | None) -> StepOutput:
        """Compute one microbatch. What cannot be done for a single slot fails that slot, and the others go on.

        Whatever is raised means that the stage is unusable.
        """
        if not batch.is_computed_by(self._spec.stage):
            return self._passed_by(batch)
        failures = SlotFailures(self._prepare_slot, self._spec.stage, batch.failures)
        failures.start(batch.slot_starts)
        if self._sampler is None:
            computed = forward(self.model, batch, hidden, failures)
            passed = replace(batch, failures=failures.all) if failures.all else batch
            if not batch.is_pictured:  # a sequence with pictures is computed again as a whole
                self._kept.add(computed.batch.slots, computed.batch.positions, computed.made)
            is_wanted = batch.is_computed_by(self._spec.stage + 1)
            return StepOutput(passed, computed.hidden(batch.num_rows) if is_wanted else None, None)
        for item in batch.new_sampling:
            failures.guard(item.slot, self._sampler.set, item)
        computed = forward(self.model, batch, hidden, failures)
        if batch.embeds:
            return StepOutput(None, None, self._embedded(self._sampler, batch, computed, failures))
        scored = self._score(self._sampler, batch, computed, failures)
        sampled = self._sample(self._sampler, batch, computed, failures)
        scored = tuple(one for one in scored if one.slot not in failures)
        logits = computed.logits(batch.returns_logits.tolist())
        return StepOutput(None, None, StepResult(batch.id, sampled, logits, failures.all, scored))

    def follow(self) -> None:
        """What `run` gave is on its way: begin what the next step may need."""
        if self._sampler is not None:
            self._sampler.follow()

    def compile(self, grammar: str) -> None:
        """Have a grammar ready for a slot. For any thread. UsageError if it cannot be used."""
        assert self._sampler is not None, "only the last stage follows grammars"
        self._sampler.compile(grammar)

    def close(self) -> None:
        """Free the weights and what the slots hold."""
        if self._sampler is not None:
            self._sampler.close()
        self.model.close()

    def _passed_by(self, batch: Microbatch) -> StepOutput:
        """Others restore these rows, the next stage maybe from those that were kept here."""
        if self._sampler is not None:
            return StepOutput(None, None, StepResult(batch.id, (), failures=batch.failures))
        is_wanted = batch.is_computed_by(self._spec.stage + 1)
        return StepOutput(batch, self._kept.take(batch.slots, batch.positions) if is_wanted else None, None)

    def _prepare_slot(self, slot: int, source: int, length: int) -> None:
        self.model.prepare_slot(slot, source, length)
        self._kept.prepare_slot(slot, source, length)
        if self._sampler is not None:
            self._sampler.prepare_slot(slot, source, length)
            self._pooler.prepare_slot(slot, source, length)

    def _embedded(self, sampler: Sampler, batch: Microbatch, computed: Computed, failures: SlotFailures) -> StepResult:
        """The vectors of the texts that end in this microbatch."""
        rows = computed.batch
        sampler.keep(rows.tokens, rows.positions, rows.slots)  # for texts that start from what such a slot holds
        self._pooler.add(rows.slots[rows.wants_logits].tolist(), computed.made)
        vectors = None
        if len(batch.pools):
            vectors = self._pooler.take(batch.slots[batch.pools].tolist(), computed.made.shape[1])
        return StepResult(batch.id, (), failures=failures.all, embeddings=vectors)

    @staticmethod
    def _score(
        sampler: Sampler, batch: Microbatch, computed: Computed, failures: SlotFailures
    ) -> tuple[SampledToken, ...]:
        """What the model thought of `batch.targets`. A row of which that cannot be told fails its slot."""
        if not len(batch.scores):
            return ()
        target_of_row = dict(zip(batch.scores.tolist(), batch.targets.tolist(), strict=True))
        rows, places = computed.places(list(target_of_row))
        slots, tokens = batch.slots[rows].tolist(), [target_of_row[row] for row in rows]
        scored = []
        for row, slot, one in zip(rows, slots, sampler.score(computed.made, places, slots, tokens), strict=True):
            if one.error:
                failures.add(slot, one.error)
            scored.append(SampledToken(row, slot, one.token, one.logprob, tuple(one.top)))
        return tuple(scored)

    @staticmethod
    def _sample(
        sampler: Sampler, batch: Microbatch, computed: Computed, failures: SlotFailures
    ) -> tuple[SampledToken, ...]:
        """One token for each computed row of `batch.samples`, of which a slot may have several.

        A row that allows no token fails its slot, which has no more from there on.
        """
        sampler.keep(_kept_tokens(computed.batch), computed.batch.positions, computed.batch.slots)
        rows, places = computed.places(batch.samples.tolist())
        slots, positions = batch.slots[rows].tolist(), batch.positions[rows].tolist()
        sampled = []
        drawn = sampler.sample(computed.made, places, slots, positions, batch.is_guessed)
        for row, slot, one in zip(rows, slots, drawn, strict=True):
            if one.error:
                failures.add(slot, one.error)
            elif slot not in failures:
                sampled.append(SampledToken(row, slot, one.token, one.logprob, tuple(one.top)))
        return tuple(sampled)


def _kept_tokens(batch: Microbatch) -> Int32Array:
    """The tokens of its rows; NO_TOKEN for those of pictures, by which nothing is penalised."""
    return np.full(batch.num_rows, NO_TOKEN, np.int32) if batch.is_pictured else batch.tokens
