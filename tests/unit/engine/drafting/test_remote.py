"""Guesses that take their time: a step waits for them where that pays, and for nothing else."""

from __future__ import annotations

from collections.abc import Sequence as Items

import pytest

from cluster.api.sampling import SamplingParams
from cluster.engine.cost.model import StepCostModel
from cluster.engine.cost.tuning import LEAST_HOLD_S
from cluster.engine.drafting.drafter import RemoteDrafter
from cluster.engine.drafting.speculation import Speculation
from cluster.engine.limits import Limits
from cluster.engine.scheduler import Scheduler
from cluster.engine.sequence import Sequence
from cluster.messages.stage import StageCosts
from tests.fakes.fake_stages import next_token
from tests.unit.engine.drafting.test_speculation import sequences
from tests.unit.engine.test_draft import _answer

FLAT = ((1, 10.0), (16, 10.0))  # ms: rows cost nothing
LIMITS = Limits(num_slots=8, context_length=200, max_batch_tokens=64, num_stages=1, max_drafting=2)


class Elsewhere:
    """Answers when it is told to; right guesses of `fake_stages`, or none at all."""

    def __init__(self, rate: float = 0.9, token_s: float = 0.0005) -> None:
        self.share, self.token_s = rate, token_s
        self.asked: list[tuple[list[int], int]] = []
        self.waiting_s = 0.0
        self._under_way: list[Sequence] = []
        self._known: dict[int, tuple[int, list[int]]] = {}

    def answer(self, *, is_empty: bool = False) -> None:
        for sequence in self._under_way:
            log = list(sequence.log)
            for _ in range(self.asked[-1][1]):
                assert sequence.params is not None
                log.append(next_token(sequence.params.seed or 0, log))
            self._known[sequence.request_id] = sequence.num_tokens, [] if is_empty else log[sequence.num_tokens :]
        self.waiting_s, self._under_way = 0.0, []

    def rate(self, sequence: Sequence) -> float:
        return self.share

    def num_known(self, sequence: Sequence) -> int:
        return len(self.draft(sequence, 99))

    def draft(self, sequence: Sequence, max_tokens: int) -> list[int]:
        length, guesses = self._known.get(sequence.request_id, (0, []))
        return guesses[:max_tokens] if length == sequence.num_tokens else []

    def ask(self, sequences: Items[Sequence], length: int) -> None:
        self.asked.append(([one.request_id for one in sequences], length))
        self._under_way = list(sequences)
        self.waiting_s = 1.0

    def wait_s(self) -> float:
        return self.waiting_s

    def draft_s(self, num_sequences: int, length: int) -> float:
        return self.token_s * length

    def forget(self, request_id: int) -> None:
        self._known.pop(request_id, None)


def speculation(drafter: Elsewhere, decode_ms: tuple[tuple[int, float], ...] = FLAT) -> Speculation:
    costs = StepCostModel(1, 64)
    costs.begin([StageCosts(decode_ms)])
    return Speculation(drafter, LIMITS, costs)


def test_a_lookup_is_none() -> None:
    assert isinstance(Elsewhere(), RemoteDrafter)


@pytest.mark.parametrize(
    ("rate", "token_s", "wanted"),
    [
        (1.0, 0.0, 15),
        (0.9, 0.0005, 15),
        (0.9, 0.0015, 7),
        (0.5, 0.001, 2),
        (0.9, 0.010, 0),  # a guess takes what a step takes
        (0.03, 0.001, 0),
        (0.0, 0.0, 0),
    ],
)
def test_so_many_are_asked_for_as_pay_with_what_they_take(rate: float, token_s: float, wanted: int) -> None:
    drafter = Elsewhere(rate, token_s)
    assert speculation(drafter).holds(sequences(1), 1) == bool(wanted)
    assert [length for _, length in drafter.asked] == [wanted] * bool(wanted)


def test_it_waits_until_they_are_there_and_asks_once() -> None:
    drafter = Elsewhere()
    found, (one,) = speculation(drafter), sequences(1)
    assert found.hold_s() == 0.0
    assert found.holds([one], 1)
    assert found.hold_s() == 1.0
    assert found.holds([one], 1)
    drafter.answer()
    assert not found.holds([one], 1)
    assert found.hold_s() == 0.0
    length = drafter.asked[0][1]
    assert [len(draft) for draft in found.drafts([one], 15, 1, exclusive=False)] == [length]
    assert [len(draft) for draft in found.drafts([one], 2, 1, exclusive=False)] == [2]
    assert len(drafter.asked) == 1


def test_what_is_late_or_empty_is_not_asked_for_again_behind_the_same_token() -> None:
    for is_late in (True, False):
        drafter = Elsewhere()
        found, (one,) = speculation(drafter), sequences(1)
        assert found.holds([one], 1)
        if is_late:
            drafter.waiting_s = 0.0
            assert found.hold_s() == LEAST_HOLD_S, "the engine looks once more"
        else:
            drafter.answer(is_empty=True)
        assert not found.holds([one], 1)
        assert found.drafts([one], 15, 1, exclusive=False) == [()]
        one.log.append(5)
        assert found.holds([one], 1), "the next token is another matter"


def test_it_is_off_beside_many_and_where_texts_end() -> None:
    drafter = Elsewhere()
    found = speculation(drafter)
    assert not found.holds(sequences(3), 3)
    assert not found.holds([], 1)
    assert not found.holds(sequences(1, max_tokens=2), 1), "the next token is the last"
    assert drafter.asked == []
    assert found.holds(sequences(2), 2)
    assert drafter.asked[0][0] == [0, 1]


def test_a_step_is_held_back_for_a_token_that_is_to_come_where_guesses_pay() -> None:
    assert speculation(Elsewhere(0.5)).waits_for(sequences(1), 1, exclusive=False), "it guesses behind any token"
    assert not speculation(Elsewhere(0.5, 0.02)).waits_for(sequences(1), 1, exclusive=False)
    assert not speculation(Elsewhere(0.0)).waits_for(sequences(1), 1, exclusive=False)


def test_the_scheduler_sends_prompts_while_guesses_are_made() -> None:
    drafter = Elsewhere()
    scheduler = Scheduler(LIMITS, drafter=drafter)
    scheduler._costs.begin([StageCosts(FLAT)])
    first = Sequence(1, (1, 2, 3), SamplingParams(seed=1, max_tokens=40))
    scheduler.add(first)
    batch = scheduler.next_batch(0.0)
    assert batch is not None
    scheduler.complete(_answer(batch, 5), 0.01)
    assert scheduler.next_batch(0.01) is None
    assert scheduler.hold_s(0.01) == 1.0
    scheduler.add(Sequence(2, (4, 5), SamplingParams(seed=1, max_tokens=40)))
    prompt = scheduler.next_batch(0.02)
    assert prompt is not None
    assert prompt.tokens.tolist() == [4, 5]
    scheduler.complete(_answer(prompt, 5), 0.03)
    drafter.answer()
    scheduler.next_batch(0.03)
    drafter.answer()
    drafted = scheduler.next_batch(0.04)
    assert drafted is not None
    assert len(drafted.tokens) > 2
    assert len(drafter.asked) == 2
