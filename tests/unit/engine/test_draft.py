"""Several samples of a slot in one step: whatever is guessed, every text is what it is one token a step."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.api.errors import CapacityError, ClusterError, UsageError
from cluster.api.results import FinishReason
from cluster.api.sampling import SamplingParams
from cluster.engine.drafting.drafter import most_drafted
from cluster.engine.limits import Limits
from cluster.engine.outcome import num_right
from cluster.engine.scheduler import Scheduler
from cluster.engine.sequence import Sequence
from cluster.messages.stage import StageCosts
from cluster.messages.step import Microbatch, SampledToken, SlotFailure, SlotStart, StepResult
from tests.fakes.fake_stages import (
    UNSAMPLEABLE,
    UNSAMPLEABLE_LENGTH,
    VOCABULARY,
    FakeDrafter,
    alone,
    next_token,
)
from tests.unit.engine.test_loop import _ASKED, _CONTEXT, _COSTS, _LIMITS, _MARKED, Asked, Run, random_delays

_MOST = 6
_EIGHT = Limits(num_slots=8, context_length=200, max_batch_tokens=64, num_stages=2)


@settings(max_examples=150)
@given(_LIMITS, _COSTS, st.lists(_ASKED, max_size=12), st.integers(0, 99), st.integers(0, 99), st.booleans())
def test_every_text_is_what_it_is_without_guesses(
    limits: Limits,
    costs: StageCosts | None,
    asked: list[Asked],
    delay_seed: int,
    draft_seed: int,
    repeats_results: bool,
) -> None:
    drafter = FakeDrafter(draft_seed, _MOST)
    run = Run(limits, random_delays(delay_seed), repeats_results, costs, drafter=drafter)
    readers = [ask.ask(run) for ask in asked]
    run.run()
    for ask, reader in zip(asked, readers, strict=True):
        ask.check(reader, may_be_lost=False)
    run.check_nothing_leaks(max_surplus=_MOST + 1)
    answered = [reader for reader in readers if not isinstance(reader.error, CapacityError)]
    assert run.engine.snapshot().num_requests == len(answered)
    assert run.engine.snapshot().num_tokens == sum(len(reader.tokens) for reader in readers)


@settings(max_examples=100)
@given(
    _LIMITS,
    st.lists(_ASKED, min_size=1, max_size=12),
    st.integers(0, 99),
    st.integers(0, 99),
    st.floats(0, 20),
    st.booleans(),
)
def test_a_lost_stage_ends_drafts_as_it_ends_all(
    limits: Limits, asked: list[Asked], delay_seed: int, draft_seed: int, lost_s: float, tells: bool
) -> None:
    run = Run(limits, random_delays(delay_seed), drafter=FakeDrafter(draft_seed, _MOST))
    readers = [ask.ask(run) for ask in asked]
    run.lose(limits.num_stages - 1, lost_s, tells=tells)
    run.repair(lost_s + 5.0)
    late = run.ask([1, 2, 3], SamplingParams(seed=3, max_tokens=5, ignore_eos=True), at_s=lost_s + 1000.0)
    run.run()
    for ask, reader in zip(asked, readers, strict=True):
        ask.check(reader, may_be_lost=True)
    assert late.tokens == alone([1, 2, 3], SamplingParams(seed=3, max_tokens=5, ignore_eos=True), _CONTEXT).tokens
    run.check_nothing_leaks(max_surplus=_MOST + 1)


@settings(max_examples=100)
@given(
    _LIMITS,
    _COSTS,
    st.lists(
        st.tuples(
            st.floats(0, 10),
            st.lists(st.integers(0, VOCABULARY.num_tokens - 1), min_size=1, max_size=15),
            _MARKED,
        ),
        max_size=12,
    ),
    st.integers(0, 99),
    st.integers(0, 99),
)
def test_a_row_that_cannot_be_sampled_counts_only_if_it_would_without_guesses(
    limits: Limits,
    costs: StageCosts | None,
    asked: list[tuple[float, list[int], SamplingParams]],
    delay_seed: int,
    draft_seed: int,
) -> None:
    limits = dataclasses.replace(limits, max_waiting=len(asked))
    run = Run(limits, random_delays(delay_seed), costs=costs, drafter=FakeDrafter(draft_seed, _MOST))
    readers = [run.ask(prompt, params, at_s) for at_s, prompt, params in asked]
    run.run()
    assert run.engine.failure is None
    for (_, prompt, params), reader in zip(asked, readers, strict=True):
        expected = alone(prompt, params, _CONTEXT)
        most = len(expected.tokens)
        if params.presence_penalty == UNSAMPLEABLE:
            most = min(most, max(0, UNSAMPLEABLE_LENGTH - len(prompt)))
        assert reader.tokens == expected.tokens[:most]
        assert isinstance(reader.error, UsageError) == (most < len(expected.tokens))
    run.check_nothing_leaks(may_hold_more=True, max_surplus=_MOST + 1)


@pytest.mark.parametrize("can_truncate", [True, False])
def test_guesses_that_are_right_save_steps_where_slots_can_go_back(can_truncate: bool) -> None:
    class Right(FakeDrafter):
        def draft(self, sequence: Sequence, max_tokens: int) -> list[int]:
            tokens = list(sequence.log)
            for _ in range(min(3, max_tokens)):
                tokens.append(next_token(5, tokens))
            return tokens[sequence.num_tokens :]

    params = SamplingParams(seed=5, max_tokens=61, ignore_eos=True)
    run = Run(dataclasses.replace(_EIGHT, can_truncate=can_truncate), drafter=Right(0))
    reader = run.ask([1, 2], params)
    run.run()
    assert reader.tokens == alone([1, 2], params, 200).tokens
    assert len(run.stages.sent) == (1 + 15 if can_truncate else 61)
    assert not any(start.length for microbatch in run.stages.sent for start in microbatch.slot_starts)


class Fixed(FakeDrafter):
    """Always the same guesses."""

    def __init__(self, *tokens: int) -> None:
        super().__init__(0)
        self._tokens = tokens

    def draft(self, sequence: Sequence, max_tokens: int) -> list[int]:
        return list(self._tokens[:max_tokens])


def _begin(drafter: Fixed, params: SamplingParams) -> tuple[Scheduler, Sequence, Microbatch]:
    """One sequence, whose first token, 5, is known, and its first step with a draft."""
    scheduler = Scheduler(dataclasses.replace(_EIGHT, num_stages=2), drafter=drafter)
    sequence = Sequence(1, (1, 2), params)
    scheduler.add(sequence)
    first = scheduler.next_batch(0.0)
    assert first is not None
    scheduler.complete(_answer(first, 5), 0.0)
    drafted = scheduler.next_batch(0.0)
    assert drafted is not None
    return scheduler, sequence, drafted


def _answer(microbatch: Microbatch, *tokens: int, fails: bool = False) -> StepResult:
    rows = microbatch.samples.tolist()
    slots = microbatch.slots[rows].tolist()
    sampled = tuple(SampledToken(*each, -1.0) for each in zip(rows, slots, tokens, strict=False))
    return StepResult(microbatch.id, sampled, failures=(SlotFailure(slots[0], "UsageError", "no"),) if fails else ())


def test_rows_of_wrong_guesses_are_taken_back_before_the_next() -> None:
    scheduler, sequence, drafted = _begin(Fixed(6, 7, 8), SamplingParams(seed=1, ignore_eos=True))
    assert drafted.tokens.tolist() == [5, 6, 7, 8]
    assert drafted.positions.tolist() == [2, 3, 4, 5]
    assert drafted.samples.tolist() == [0, 1, 2, 3]
    assert scheduler.next_batch(0.0) is None, "nobody knows yet what it goes on with"
    (outcome,) = scheduler.complete(_answer(drafted, 6, 9, 3, 3), 0.0)
    assert [token.token for token in outcome.sampled] == [6, 9]
    assert (sequence.log, sequence.num_computed, sequence.has_surplus) == ([1, 2, 5, 6, 9], 4, True)
    following = scheduler.next_batch(0.0)
    assert following is not None
    assert following.slot_starts == (SlotStart(0, 0, 4),)
    assert (following.tokens.tolist(), following.positions.tolist()) == ([9, 6, 7, 8], [4, 5, 6, 7])
    assert following.new_sampling == (), "they stay"
    scheduler.complete(_answer(following, 6, 7, 8, 4), 0.0)
    assert sequence.log == [1, 2, 5, 6, 9, 6, 7, 8, 4]
    last = scheduler.next_batch(0.0)
    assert last is not None
    assert last.slot_starts == (), "all guesses were right"


def test_a_slot_that_is_taken_over_holds_the_right_guesses_only() -> None:
    prompt = tuple(range(1, 21))
    scheduler = Scheduler(dataclasses.replace(_EIGHT, num_slots=1), drafter=Fixed(6, 7))
    ended, following = Sequence(1, prompt, SamplingParams(seed=1)), Sequence(2, (*prompt, 5, 6, 9, 9), None)
    following.params = SamplingParams(seed=2)
    scheduler.add(ended)
    scheduler.add(following)
    for tokens in ((5,), (6, 9, 9)):
        microbatch = scheduler.next_batch(0.0)
        assert microbatch is not None
        scheduler.complete(_answer(microbatch, *tokens), 0.0)
    scheduler.end(1)
    started = scheduler.next_batch(0.0)
    assert started is not None
    assert started.slot_starts == (SlotStart(0, 0, 22),), "20 of the prompt, 5 and 6; of 9 there is no row"


@pytest.mark.parametrize("fails", [False, True])
def test_a_failed_slot_ends_behind_the_tokens_that_count(fails: bool) -> None:
    scheduler, sequence, drafted = _begin(Fixed(6, 7, 8), SamplingParams(seed=1, ignore_eos=True))
    right = (6, 7) if fails else (6, 3)  # with 3, the third row is that of a wrong guess
    (outcome,) = scheduler.complete(_answer(drafted, *right, fails=True), 0.0)
    assert [token.token for token in outcome.sampled] == list(right)
    assert (outcome.failure is not None) == fails
    assert sequence.log == [1, 2, 5, *right]


@pytest.mark.parametrize("tokens", [(), (6, 7, 8), (6, 7, 8, 9, 9)])
def test_results_with_too_few_or_too_many_samples_are_refused(tokens: tuple[int, ...]) -> None:
    scheduler, sequence, drafted = _begin(Fixed(6, 7, 8), SamplingParams(seed=1))
    result = _answer(drafted, *tokens[:4])
    if len(tokens) > 4:
        result = dataclasses.replace(result, sampled=(*result.sampled, result.sampled[-1]))
    swapped = dataclasses.replace(_answer(drafted, 6, 7, 8, 9), sampled=_answer(drafted, 6, 7, 8, 9).sampled[::-1])
    for wrong in (result, swapped, _answer(drafted, 6, 7, 8, 9, fails=True)):
        with pytest.raises(ClusterError, match="step result"):
            scheduler.complete(wrong, 0.0)
    assert sequence.log == [1, 2, 5]


@pytest.mark.parametrize(
    ("changes", "tokens", "reason"),
    [
        ({"max_tokens": 3}, 3, FinishReason.LENGTH),
        ({"ignore_eos": False}, None, FinishReason.STOP),
        ({"stop": ("stop",)}, None, FinishReason.STOP),
    ],
)
def test_what_lies_behind_the_end_of_a_text_is_dropped(
    changes: dict[str, object], tokens: int | None, reason: FinishReason
) -> None:
    class Long(FakeDrafter):
        """Right guesses, also behind the end."""

        def draft(self, sequence: Sequence, max_tokens: int) -> list[int]:
            log = list(sequence.log)
            for _ in range(min(20, max_tokens)):
                log.append(next_token(params.seed or 0, log))
            return log[sequence.num_tokens :]

    seeds = (SamplingParams(seed=seed, ignore_eos=True, max_tokens=40) for seed in range(999))
    seeds = (dataclasses.replace(params, **changes) for params in seeds)  # type: ignore[arg-type]
    texts = ((params, alone([1], params, 200)) for params in seeds)
    params, expected = next(each for each in texts if each[1].reason is reason and len(each[1].tokens) > 2)
    run = Run(_EIGHT, drafter=Long(0))
    reader = run.ask([1], params)
    run.run()
    assert (reader.tokens, reader.text, reader.reason) == (expected.tokens, expected.text, reason)
    assert tokens is None or len(reader.tokens) == tokens
    assert reader.timings is not None
    assert reader.timings.num_tokens == len(expected.tokens)
    assert run.engine.snapshot().num_tokens == len(expected.tokens)
    run.check_nothing_leaks(max_surplus=21)


@pytest.mark.parametrize(
    ("num_tokens", "max_tokens", "most"), [(3, None, 6), (3, 4, 3), (9, None, 0), (3, 1, 0), (10, 5, 0)]
)
def test_a_draft_leaves_room_for_the_token_behind_it(num_tokens: int, max_tokens: int | None, most: int) -> None:
    sequence = Sequence(1, (1,) * num_tokens, SamplingParams(seed=1, max_tokens=max_tokens))
    assert most_drafted(sequence, dataclasses.replace(_EIGHT, context_length=10)) == most


@given(st.lists(st.integers(0, 2), max_size=6), st.lists(st.integers(0, 2), max_size=7))
def test_guesses_are_right_up_to_the_first_that_is_not(draft: list[int], tokens: list[int]) -> None:
    sampled = [SampledToken(row, 0, token, 0.0) for row, token in enumerate(tokens)]
    right = num_right(draft, sampled)
    assert draft[:right] == tokens[:right]
    assert right == min(len(draft), len(tokens)) or draft[right] != tokens[right]
