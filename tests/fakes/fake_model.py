"""A model and a sampler without native code, whose every number can be checked: the model of `fake_stages`.

A hidden row says which token of which slot it is of, what that slot held, and through how many layers it went. Each
model checks what comes from the one before against its own slots, so that a row that is mixed up, or a slot that two
stages hold differently, ends the stage.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cluster.api.sampling import SamplingParams
from cluster.messages.stage import StageCosts
from cluster.messages.step import Float32Array, Int32Array, Microbatch, SlotSampling
from cluster.stage.model import StageSizes
from cluster.stage.runner import StageRunner
from cluster.stage.spec import OnProgress, StageSpec
from tests.fakes.fake_stages import UNSAMPLEABLE, UNSAMPLEABLE_LENGTH, VOCABULARY, logits_row, next_token

HIDDEN_WIDTH = 4
NOTHING_REFUSED = frozenset[int]()


class FakeSlots:
    """The tokens that each slot holds."""

    def __init__(self, spec: StageSpec) -> None:
        self._tokens: list[list[int]] = [[] for _ in range(spec.num_slots)]

    def prepare_slot(self, slot: int, source: int, length: int) -> None:
        held = self._tokens[source]
        if length > len(held):
            raise ValueError(f"length: {length} of a slot that holds {len(held)}")
        self._tokens[slot] = held[:length]

    def append(self, tokens: Int32Array, positions: Int32Array, slots: Int32Array) -> list[list[int]]:
        """Put the rows in. What each slot holds up to its row."""
        histories = []
        for token, position, slot in zip(tokens.tolist(), positions.tolist(), slots.tolist(), strict=True):
            assert position == len(self._tokens[slot]), f"slot {slot}: position {position} does not follow"
            self._tokens[slot].append(token)
            histories.append(self._tokens[slot][:])
        return histories

    def up_to(self, slot: int, position: int) -> list[int]:
        return self._tokens[slot][: position + 1]


class FakeModel:
    """Implements `stage.model.StageModel`."""

    build = "fake"
    hidden_width = picture_width = picture_out_width = HIDDEN_WIDTH
    vocab_size = VOCABULARY.num_tokens

    def __init__(
        self,
        spec: StageSpec,
        refuses: frozenset[int] = NOTHING_REFUSED,
        before_forward: Callable[[Microbatch], None] = lambda batch: None,
    ) -> None:
        """`refuses`: tokens that no slot may have here. `before_forward` may raise, as a broken device would."""
        self._spec = spec
        self._refuses = refuses
        self._before_forward = before_forward
        self._slots = FakeSlots(spec)
        self.is_last = spec.stage == spec.num_stages - 1
        self.is_closed = False
        self.prepare_slot = self._slots.prepare_slot

    def sizes(self) -> StageSizes:
        return StageSizes(weight_bytes=100 * (self._spec.end - self._spec.first), kv_bytes=20, compute_bytes=3)

    def check(self, batch: Microbatch) -> None:
        for token in batch.tokens.tolist():
            if token in self._refuses:
                raise ValueError(f"token {token} cannot be computed")

    def forward(self, batch: Microbatch, hidden: Float32Array | None) -> Float32Array:
        self.check(batch)
        self._before_forward(batch)
        histories = self._slots.append(batch.tokens, batch.positions, batch.slots)
        given = np.array([hidden_row(tokens, self._spec.first) for tokens in histories], np.float32)
        if hidden is not None and not np.array_equal(hidden, given):
            raise RuntimeError(f"hidden rows: {hidden.tolist()} came, {given.tolist()} fit what the slots hold")
        if not self.is_last:
            return np.array([hidden_row(tokens, self._spec.end) for tokens in histories], np.float32)
        wanting = np.flatnonzero(batch.wants_logits).tolist()
        return np.array([logits_row(histories[row]) for row in wanting], np.float32).reshape(-1, self.vocab_size)

    def measure(self) -> StageCosts:
        return StageCosts(decode_ms=((1, 1.0), (2, 1.5)))

    def close(self) -> None:
        self.is_closed = True


def hidden_row(tokens: Sequence[int], num_layers: int) -> list[float]:
    """Of the last of these tokens of a slot, behind so many layers. All numbers are exact in float32."""
    return [tokens[-1], len(tokens), zlib.crc32(bytes(tokens)) >> 8, num_layers]


@dataclass(frozen=True, slots=True)
class FakeSample:
    """One sampled token, or why there is none."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()
    error: str = ""


class FakeSampler:
    """Implements `stage.model.Sampler`: the token that `fake_stages.next_token` gives, if the logits are right."""

    def __init__(self, spec: StageSpec) -> None:
        self._slots = FakeSlots(spec)
        self._params: dict[int, SamplingParams] = {}
        self.prepare_slot = self._slots.prepare_slot

    def set(self, sampling: SlotSampling) -> None:
        self._params[sampling.slot] = sampling.params

    def keep(self, tokens: Int32Array, positions: Int32Array, slots: Int32Array) -> None:
        self._slots.append(tokens, positions, slots)

    def sample(
        self,
        logits: Float32Array,
        rows: Sequence[int],
        slots: Sequence[int],
        positions: Sequence[int],
        is_guessed: bool = False,
    ) -> list[FakeSample]:
        return [
            self._sample(logits[row], slot, position)
            for row, slot, position in zip(rows, slots, positions, strict=True)
        ]

    def compile(self, grammar: str) -> None:
        pass

    def follow(self) -> None:
        pass

    def close(self) -> None:
        pass

    def score(
        self, logits: Float32Array, rows: Sequence[int], slots: Sequence[int], tokens: Sequence[int]
    ) -> list[FakeSample]:
        return [
            FakeSample(
                token,
                float(logits[row][token]),
                ((0, float(logits[row][0])),) * (self._params[slot].prompt_logprobs or 0),
            )
            for row, slot, token in zip(rows, slots, tokens, strict=True)
        ]

    def _sample(self, logits: Float32Array, slot: int, position: int) -> FakeSample:
        tokens = self._slots.up_to(slot, position)
        assert np.array_equal(logits, logits_row(tokens)), f"slot {slot}: logits of another row"
        params = self._params[slot]
        if params.presence_penalty == UNSAMPLEABLE and len(tokens) >= UNSAMPLEABLE_LENGTH:
            return FakeSample(0, 0.0, error="the logits allow no token")
        return FakeSample(next_token(params.seed or 0, tokens), -float(len(tokens)))


def load_fake(spec: StageSpec, report: OnProgress) -> StageRunner:
    """As `stage.loading.load_stage`, of a model that is made up."""
    report("loading", 0.5)
    return fake_runner(spec, FakeModel(spec))


def fake_runner(spec: StageSpec, model: FakeModel) -> StageRunner:
    return StageRunner(spec, model, FakeSampler(spec) if model.is_last else None)
