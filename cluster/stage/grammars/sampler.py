"""The sampler with masks for each step, which are made while other steps are computed."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from cluster.api.errors import ClusterError, UsageError
from cluster.grammar.matcher import MaskWords, Matcher
from cluster.messages.step import Float32Array, Int32Array, SlotSampling
from cluster.stage.grammars.compiled import CompiledGrammars
from cluster.stage.grammars.slot import SlotGrammar
from cluster.stage.model import MaskedSampler, Sample


@dataclass(frozen=True, slots=True)
class NoSample:
    """Implements `stage.model.Sample`, of a row that has no token."""

    error: str
    token: int = 0
    logprob: float = 0.0
    top: tuple[tuple[int, float], ...] = ()


class GrammarSampler:
    """Implements `stage.model.Sampler` with another one. Its own thread makes the next masks."""

    def __init__(self, sampler: MaskedSampler, compiled: CompiledGrammars) -> None:
        self._sampler = sampler
        self._compiled = compiled
        self._by_slot: dict[int, SlotGrammar] = {}
        self._kept: dict[int, dict[int, int]] = {}  # tokens since the slot was sampled from, by slot and position
        self._drawn_from: list[SlotGrammar] = []
        self._following: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, "grammars", _leave_the_computing_core)

    def set(self, sampling: SlotSampling) -> None:
        """UsageError if the grammar cannot be used, RuntimeError if that is not its fault."""
        self._forget(sampling.slot)
        if sampling.params.grammar:
            matcher = self._matcher(sampling.params.grammar)
            if sampling.params.grammar_prefix:
                matcher = matcher.behind(sampling.params.grammar_prefix)
            self._by_slot[sampling.slot] = SlotGrammar(matcher, sampling)
            # Masks say when the text may end. A sampler that forbids it would leave nothing where it has to.
            sampling = replace(sampling, params=replace(sampling.params, min_tokens=0))
        self._sampler.set(sampling)

    def prepare_slot(self, slot: int, source: int, length: int) -> None:
        """A slot that begins with another one's tokens has not its grammar. One that goes back finds out by itself."""
        if slot != source or length == 0:
            self._forget(slot)
        self._sampler.prepare_slot(slot, source, length)

    def keep(self, tokens: Int32Array, positions: Int32Array, slots: Int32Array) -> None:
        self._sampler.keep(tokens, positions, slots)
        if self._by_slot:
            for slot, position, token in zip(slots.tolist(), positions.tolist(), tokens.tolist(), strict=True):
                grammar = self._by_slot.get(slot)
                # A text that is computed again has drawn tokens in chunks that nothing is sampled from.
                if grammar is not None and position >= grammar.first:
                    self._kept.setdefault(slot, {})[position] = token

    def sample(
        self,
        logits: Float32Array,
        rows: Sequence[int],
        slots: Sequence[int],
        positions: Sequence[int],
        is_guessed: bool = False,
    ) -> Sequence[Sample]:
        """A row whose grammar cannot be followed any more has an error; the others are drawn.

        `is_guessed`: a slot's first token may be a wrong guess, too, which no grammar has to allow.
        """
        if self._by_slot.keys().isdisjoint(slots):
            return self._sampler.sample(logits, rows, slots, positions)
        self._wait()
        masks, failed = self._masks(slots, positions, is_guessed)
        for slot in slots:
            self._kept.pop(slot, None)
        sound = [place for place, slot in enumerate(slots) if slot not in failed]
        of_sound = [[of[place] for place in sound] for of in (rows, slots, positions)]
        drawn = self._sampler.sample(logits, of_sound[0], of_sound[1], of_sound[2], [masks[place] for place in sound])
        known = [place for place in range(len(sound)) if masks[sound[place]] is not None]
        self._note([(slots[sound[place]], positions[sound[place]], drawn[place]) for place in known])
        samples: list[Sample] = [NoSample(failed.get(slot, "")) for slot in slots]
        for place, one in zip(sound, drawn, strict=True):
            samples[place] = one
        return samples

    def score(
        self, logits: Float32Array, rows: Sequence[int], slots: Sequence[int], tokens: Sequence[int]
    ) -> Sequence[Sample]:
        return self._sampler.score(logits, rows, slots, tokens)

    def compile(self, grammar: str) -> None:
        """Have it ready; of an empty one only the texts of the tokens. For any thread."""
        if grammar:
            self._compiled.matcher(grammar)
        else:
            self._compiled.pieces()

    def follow(self) -> None:
        """Begin to make the masks that come next: the step is answered, and this thread has others to compute."""
        grammars, self._drawn_from = self._drawn_from, []
        if grammars:
            self._following = self._thread.submit(_follow, grammars)

    def close(self) -> None:
        self._thread.shutdown()

    def _matcher(self, grammar: str) -> Matcher:
        """Ready, if it was compiled before; a stage that is new has all of them to compile."""
        try:
            return self._compiled.matcher(grammar)
        except UsageError:
            raise
        except ClusterError as error:  # that slot's, and not the stage's
            raise RuntimeError(str(error)) from error

    def _masks(
        self, slots: Sequence[int], positions: Sequence[int], is_guessed: bool
    ) -> tuple[list[MaskWords | None], dict[int, str]]:
        """One for each row; and for slots that can have none, why."""
        masks: list[MaskWords | None] = []
        failed: dict[int, str] = {}
        seen: set[int] = set(slots) if is_guessed else set()
        for slot, position in zip(slots, positions, strict=True):
            grammar, mask = self._by_slot.get(slot), None
            if grammar is not None and slot not in failed:
                try:
                    mask = grammar.mask(position, self._kept.get(slot, {}), is_guessed=slot in seen)
                except ClusterError as error:
                    failed[slot] = str(error)
                    self._compiled.forget(grammar.text)
            seen.add(slot)
            masks.append(mask)
        return masks, failed

    def _note(self, drawn: Sequence[tuple[int, int, Sample]]) -> None:
        """Let the grammars know. Of a slot's draws those behind a wrong guess count for nothing."""
        settled: set[int] = set()
        for slot, position, one in drawn:
            grammar = self._by_slot.get(slot)
            if grammar is None or slot in settled:
                continue
            try:
                is_settled = bool(one.error) or not grammar.drawn(position, one.token)
            except ClusterError:
                is_settled = True  # the token is good; it is said again, to whoever asks for the next mask
            if is_settled:
                settled.add(slot)
                self._drawn_from.append(grammar)

    def _forget(self, slot: int) -> None:
        self._wait()
        self._by_slot.pop(slot, None)
        self._kept.pop(slot, None)

    def _wait(self) -> None:
        following, self._following = self._following, None
        if following is not None:
            following.result()


def _follow(grammars: Sequence[SlotGrammar]) -> None:
    for grammar in grammars:
        try:
            grammar.follow()
        except ClusterError:
            continue  # it is said again, to whoever asks for the mask


def _leave_the_computing_core() -> None:
    """A thread that the computing one starts would be bound to its core, too."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, os.sched_getaffinity(os.getpid()))
