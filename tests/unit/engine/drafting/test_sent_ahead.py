"""Drafts that are sent behind others: what goes out, what becomes of it, and what it gains."""

from __future__ import annotations

import dataclasses
import random

import pytest

from cluster.api.sampling import SamplingParams
from cluster.engine.drafting.chain import Chain
from cluster.engine.limits import Limits
from cluster.engine.scheduler import Scheduler
from cluster.engine.sequence import Sequence
from cluster.messages.stage import Holdings, StageCosts
from cluster.messages.step import Microbatch, SampledToken, SlotFailure, SlotStart, StepResult
from tests.fakes.fake_stages import VOCABULARY, FakeDrafter, alone, next_token
from tests.unit.engine.test_loop import Run

PARAMS = SamplingParams(seed=5, max_tokens=180, ignore_eos=True)
_THREE = Limits(num_slots=4, context_length=200, max_batch_tokens=64, num_stages=3, max_runs=4)
_SURPLUS = 5 * 16 + 1  # rows of a sequence that may be under way when it ends


class Knowing(FakeDrafter):
    """Knows the text, and has every token wrong whose position is in `wrong`."""

    def __init__(self, wrong: frozenset[int] = frozenset(), rate: float = 1.0) -> None:
        super().__init__(0)
        self._wrong = wrong
        self._rate = rate

    def rate(self, sequence: Sequence) -> float:
        return self._rate

    def draft(self, sequence: Sequence, max_tokens: int) -> list[int]:
        assert sequence.params is not None
        tokens, guesses = list(sequence.log), list(sequence.ahead)
        while len(guesses) < len(sequence.ahead) + max_tokens:
            tokens.append(next_token(sequence.params.seed or 0, tokens))
            place = len(tokens) - 1
            if place >= sequence.num_tokens + len(sequence.ahead):
                guesses.append((tokens[-1] + (place in self._wrong)) % VOCABULARY.num_tokens)
        return guesses[len(sequence.ahead) :]


def lasted_s(limits: Limits, drafter: FakeDrafter | None, row_s: float = 0.0, hop_s: float = 0.0) -> tuple[float, Run]:
    """How long a text takes, in stages that take a second each and `row_s` a row more, and messages `hop_s`."""
    costs = StageCosts(((1, 1000.0), (16, 1000.0 + 15_000.0 * row_s)))
    run = Run(limits, lambda stage, num_rows: 1.0 + row_s * (num_rows - 1), costs=costs, drafter=drafter)
    run.stages.hop_s = hop_s
    reader = run.ask([1, 2], PARAMS)
    run.run()
    assert reader.tokens == alone([1, 2], PARAMS, 200).tokens
    run.check_nothing_leaks(max_surplus=_SURPLUS)
    assert reader.ended_s is not None
    return reader.ended_s, run


def test_the_stages_are_busy_with_one_stream() -> None:
    """Of right guesses, with rows that cost something, and with some wrong ones."""
    for drafter, row_s, gain in (
        (Knowing(), 0.2, 1.9),
        (Knowing(frozenset(range(10, 60, 12)), rate=0.9), 0.2, 1.4),
        (Knowing(frozenset(range(10, 60, 12)), rate=0.9), 0.5, 1.4),
    ):
        one_s, _ = lasted_s(dataclasses.replace(_THREE, max_runs=1), drafter, row_s)
        several_s, run = lasted_s(_THREE, drafter, row_s)
        assert one_s > gain * several_s
        assert any(microbatch.is_guessed for microbatch in run.stages.sent)


@pytest.mark.parametrize(
    ("row_s", "share", "gain"), [(0.0, 1.0, 2.0), (0.5, 1.0, 2.0), (0.5, 0.9, 1.4), (0.0, 0.9, 1.0)]
)
def test_long_ways_are_full_of_guesses(row_s: float, share: float, gain: float) -> None:
    """As with 5 ms between stages that take 3 ms for a token. Where rows cost nothing, one draft is long as it is."""
    one_s, _ = lasted_s(dataclasses.replace(_THREE, max_runs=1), Knowing(wrong_but(share), share), row_s, 5 / 3)
    several_s, _ = lasted_s(_THREE, Knowing(wrong_but(share), share), row_s, 5 / 3)
    assert one_s > gain * several_s


@pytest.mark.parametrize("hop_s", [0.0, 5 / 3])
def test_guesses_that_are_seldom_right_cost_next_to_nothing(hop_s: float) -> None:
    for share in (0.05, 0.3, 0.5):
        for row_s in (0.0, 0.3):
            none_s, _ = lasted_s(_THREE, None, row_s, hop_s)
            one_s, _ = lasted_s(dataclasses.replace(_THREE, max_runs=1), Knowing(wrong_but(share), share), row_s, hop_s)
            several_s, _ = lasted_s(_THREE, Knowing(wrong_but(share), share), row_s, hop_s)
            assert several_s <= none_s / 0.98
            assert several_s <= one_s / 0.98


def wrong_but(share: float) -> frozenset[int]:
    """Positions of wrong guesses, so that a share of all is right."""
    return frozenset(place for place in range(200) if random.Random(place).random() >= share)


class Fixed(FakeDrafter):
    """Goes on with the same tokens, over and over."""

    def __init__(self, *tokens: int) -> None:
        super().__init__(0)
        self._tokens = tokens

    def draft(self, sequence: Sequence, max_tokens: int) -> list[int]:
        begin = sequence.num_generated - 1 + len(sequence.ahead)
        return [self._tokens[(begin + place) % len(self._tokens)] for place in range(max_tokens)]


def begin(*tokens: int) -> tuple[Scheduler, Sequence]:
    """One sequence whose first token, 5, is known; drafts of one guess, three under way at a time."""
    scheduler = Scheduler(_THREE, 1, Fixed(*tokens))
    scheduler.speculation.chain = lambda sequence: Chain(1, 3, 1.0)  # type: ignore[method-assign]
    sequence = Sequence(1, (1, 2), SamplingParams(seed=1, ignore_eos=True))
    scheduler.add(sequence)
    (first,) = sent(scheduler)
    scheduler.complete(answer(first, 5), 1.0)
    return scheduler, sequence


def answer(microbatch: Microbatch, *tokens: int, fails: bool = False) -> StepResult:
    rows = microbatch.samples.tolist()
    slots = microbatch.slots[rows].tolist()
    sampled = tuple(SampledToken(*each, -1.0) for each in zip(rows, slots, tokens, strict=False))
    return StepResult(microbatch.id, sampled, failures=(SlotFailure(slots[0], "UsageError", "no"),) if fails else ())


def sent(scheduler: Scheduler) -> list[Microbatch]:
    """All that goes out now."""
    found = []
    while (microbatch := scheduler.next_batch(1.0)) is not None:
        found.append(microbatch)
    return found


def rows(microbatch: Microbatch) -> list[tuple[int, int]]:
    return list(zip(microbatch.tokens.tolist(), microbatch.positions.tolist(), strict=True))


def test_drafts_go_one_behind_the_other_until_a_guess_is_wrong() -> None:
    scheduler, sequence = begin(*range(6, 30))
    runs = sent(scheduler)
    assert [rows(run) for run in runs] == [[(5, 2), (6, 3)], [(7, 4), (8, 5)], [(9, 6), (10, 7)]]
    assert [run.is_guessed for run in runs] == [False, True, True]
    assert all(run.samples.tolist() == [0, 1] and not run.exclusive for run in runs)
    (outcome,) = scheduler.complete(answer(runs[0], 6, 7), 2.0)
    assert [token.token for token in outcome.sampled] == [6, 7]
    (fourth,) = sent(scheduler)
    assert rows(fourth) == [(11, 8), (12, 9)]
    scheduler.complete(answer(runs[1], 8, 9), 3.0)
    assert (sequence.num_drafted, sequence.num_accepted) == (3, 3)
    (fifth,) = sent(scheduler)
    (outcome,) = scheduler.complete(answer(runs[2], 10, 3), 4.0)
    assert outcome.num_dropped_runs == 2
    assert (sequence.log[-3:], sequence.num_computed, sequence.ahead) == ([9, 10, 3], 8, [])
    (again,) = sent(scheduler)
    assert rows(again)[0] == (3, 8)
    assert not again.is_guessed
    assert again.slot_starts == (SlotStart(0, 0, 8),), "what was sent as if 11 came is taken back"
    for late in (fourth, fifth):
        assert scheduler.complete(answer(late, 4, 4), 5.0) == []
        assert sequence.num_tokens == 9
    assert [rows(run)[0][1] for run in sent(scheduler)] == [10, 12], "as many as before"
    (outcome,) = scheduler.complete(answer(again, sequence.ahead[0], 4), 6.0)
    assert outcome.num_accepted == 1
    assert sequence.num_dropped_runs == 4


@pytest.mark.parametrize("fails", [False, True])
def test_what_fails_behind_a_wrong_guess_is_nobodys_loss(fails: bool) -> None:
    scheduler, sequence = begin(*range(6, 30))
    first, second, third = sent(scheduler)
    (outcome,) = scheduler.complete(answer(first, 9, 9), 2.0)
    assert (outcome.num_drafted, outcome.num_accepted, outcome.num_dropped_runs) == (1, 0, 2)
    assert sequence.log == [1, 2, 5, 9]
    (again,) = sent(scheduler)
    assert again.slot_starts == (SlotStart(0, 0, 3),)
    assert scheduler.complete(answer(second, *(() if fails else (1, 1)), fails=fails), 3.0) == []
    assert scheduler.complete(answer(third, *(() if fails else (1, 1)), fails=fails), 3.0) == []
    guess = again.tokens.tolist()[1]
    (outcome,) = scheduler.complete(answer(again, guess, 4), 4.0)
    assert outcome.failure is None
    assert sequence.log == [1, 2, 5, 9, guess, 4]


def test_a_row_that_fails_behind_right_guesses_only_ends_its_request() -> None:
    scheduler, sequence = begin(*range(6, 30))
    first, second, _ = sent(scheduler)
    scheduler.complete(answer(first, 6, 7), 2.0)
    (outcome,) = scheduler.complete(answer(second, 8, fails=True), 3.0)
    assert outcome.failure is not None
    assert sequence.log == [1, 2, 5, 6, 7, 8]


def test_a_prompt_goes_before_guesses_and_two_streams_have_one_draft_each() -> None:
    scheduler, sequence = begin(*range(6, 30))
    runs = sent(scheduler)
    scheduler.add(Sequence(2, (3, 4), SamplingParams(seed=1, ignore_eos=True)))
    (prompt,) = sent(scheduler)
    assert prompt.tokens.tolist() == [3, 4]
    scheduler.complete(answer(runs[0], 6, 7), 2.0)
    scheduler.complete(answer(runs[1], 8, 9), 3.0)
    scheduler.complete(answer(runs[2], 10, 11), 3.5)
    scheduler.complete(answer(prompt, 9), 4.0)
    assert not any(run.is_guessed for run in sent(scheduler))
    assert sequence.num_tokens == 9


def test_a_slot_that_is_taken_over_holds_the_right_guesses_only() -> None:
    scheduler, sequence = begin(*range(6, 60))
    first, second, _ = sent(scheduler)
    scheduler.complete(answer(first, 6, 7), 2.0)
    scheduler.complete(answer(second, 8, 9), 3.0)
    scheduler.end(1)
    assert list(scheduler._slots._free.values())[-1] == [1, 2, 5, 6, 7, 8, 9]
    assert sequence.slot is None


def test_an_epoch_that_ends_takes_them_all_back() -> None:
    scheduler, sequence = begin(*range(6, 30))
    first, *_ = sent(scheduler)
    scheduler.complete(answer(first, 6, 7), 2.0)
    scheduler.interrupt()
    assert (sequence.ahead, sequence.num_in_flight, sequence.has_surplus) == ([], 0, True)
    assert sequence.num_losses == 1
    scheduler.reset(2, holdings=[Holdings(1, (9, 0, 0, 0)), Holdings(1, (9, 0, 0, 0)), Holdings(1)])
    again = sent(scheduler)
    assert rows(again[0])[0] == (7, 4)
    assert again[0].slot_starts == (SlotStart(0, 0, 4),), "they hold guesses behind it"
