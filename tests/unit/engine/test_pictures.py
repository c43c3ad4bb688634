"""Rows of pictures in prompts: cut at their borders, never beside tokens, and found again as texts are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cluster.api.errors import UsageError
from cluster.api.sampling import SamplingParams
from cluster.engine.completing import check_tokens
from cluster.engine.drafting.drafter import most_drafted
from cluster.engine.limits import Limits
from cluster.engine.scheduler import Scheduler
from cluster.engine.sequence import Sequence
from cluster.messages.pictures import Grid, PicturedPrompt, PictureRows, stand_ins
from cluster.messages.step import Microbatch, SampledToken, SlotPicture, StepResult
from tests.fakes.fake_stages import VOCABULARY

LIMITS = Limits(num_slots=4, context_length=128, max_batch_tokens=16, num_stages=1)
WIDTH = 3
PARAMS = SamplingParams(seed=1, max_tokens=4)


def prompt_of(*pieces: list[int] | tuple[bytes, int], num_columns: int = 0, non_causal: bool = False) -> PicturedPrompt:
    """Token ids, and pictures by name and number of rows; row i of one is filled with i. With a number of columns, the
    model's positions have sections."""
    ids: list[int] = []
    pictures = []
    for piece in pieces:
        if isinstance(piece, list):
            ids += piece
        else:
            name, count = piece
            rows = np.repeat(np.arange(count, dtype=np.float32)[:, None], WIDTH, axis=1)
            grid = Grid(num_columns, count // num_columns) if num_columns else None
            pictures.append(PictureRows(len(ids), rows, grid, non_causal))
            ids += stand_ins(name, count)
    return PicturedPrompt(tuple(ids), tuple(pictures))


def sequence(request_id: int, prompt: PicturedPrompt) -> Sequence:
    return Sequence(request_id, prompt.token_ids, PARAMS, pictures=prompt.pictures)


def fill(scheduler: Scheduler) -> list[Microbatch]:
    return list(iter(lambda: scheduler.next_batch(0.0), None))


def answer(scheduler: Scheduler, microbatch: Microbatch) -> None:
    sampled = tuple(SampledToken(int(row), int(microbatch.slots[row]), 5, -1.0) for row in microbatch.samples)
    scheduler.complete(StepResult(microbatch.id, sampled), 0.0)


def run(scheduler: Scheduler, num_steps: int) -> list[Microbatch]:
    """So many microbatches, each answered before the next."""
    sent = []
    for _ in range(num_steps):
        microbatch = scheduler.next_batch(0.0)
        assert microbatch is not None
        answer(scheduler, microbatch)
        sent.append(microbatch)
    return sent


def shown(microbatch: Microbatch) -> tuple[list[int], list[int], list[float] | None]:
    """Its tokens and positions, and the first value of each row that is given."""
    assert microbatch.is_pictured == (microbatch.rows is not None)
    rows = None if microbatch.rows is None else microbatch.rows[:, 0].tolist()
    return microbatch.tokens.tolist(), microbatch.positions.tolist(), rows


def test_a_prompt_is_cut_where_its_pictures_begin_and_end() -> None:
    scheduler = Scheduler(LIMITS)
    scheduler.add(sequence(1, prompt_of([7, 8], (b"a", 3), (b"b", 2), [9])))
    assert [shown(one) for one in run(scheduler, 4)] == [
        ([7, 8], [0, 1], None),
        ([0, 0, 0], [2, 3, 4], [0.0, 1.0, 2.0]),
        ([0, 0], [5, 6], [0.0, 1.0]),
        ([9], [7], None),
    ]


def test_a_picture_of_more_rows_than_a_microbatch_has_goes_into_several() -> None:
    scheduler = Scheduler(LIMITS)
    scheduler.add(sequence(1, prompt_of((b"a", 20))))
    first, second = run(scheduler, 2)
    assert shown(first)[2] == list(range(16))
    assert shown(second) == ([0] * 4, [16, 17, 18, 19], [16.0, 17.0, 18.0, 19.0])
    assert (first.samples.tolist(), second.samples.tolist()) == ([], [3]), "a token follows the last row"


def test_rows_of_pictures_and_tokens_are_never_in_one_microbatch() -> None:
    scheduler = Scheduler(LIMITS)
    for number, prompt in enumerate((prompt_of((b"a", 3), [5]), prompt_of([6, 7]), prompt_of((b"b", 2), [8]))):
        scheduler.add(sequence(number, prompt))
    sent = run(scheduler, 3)
    assert [one.is_pictured for one in sent] == [True, False, False]
    assert sorted(set(sent[0].slots.tolist())) == [0, 1]
    assert shown(sent[0])[2] == [0.0, 1.0, 2.0, 0.0, 1.0]
    assert sorted(token for one in sent[1:] for token in one.tokens.tolist() if token != 5) == [6, 7, 8]


def test_what_slots_hold_of_a_picture_is_found_again_and_of_another_is_not() -> None:
    scheduler = Scheduler(replace(LIMITS, max_batch_tokens=64))
    ids = list(range(10, 50))
    first = sequence(1, prompt_of(ids, (b"a", 20), [5, 6, 7]))
    scheduler.add(first)
    run(scheduler, 3)
    scheduler.end(1)
    same, other = (sequence(2, prompt_of(ids, (b"a", 20), [5, 6, 8, 9])), sequence(3, prompt_of(ids, (b"b", 20), [5])))
    scheduler.add(same)
    run(scheduler, 1)
    assert same.num_cached == 62
    scheduler.end(2)
    scheduler.add(other)
    run(scheduler, 1)
    assert other.num_cached == 40


def test_stages_are_told_how_rows_lie_in_their_pictures() -> None:
    scheduler = Scheduler(LIMITS)
    asked = (prompt_of([7, 8], (b"a", 6), (b"b", 20), [9], num_columns=2), prompt_of((b"c", 4), [3], num_columns=2))
    for number, prompt in enumerate(asked):
        scheduler.add(sequence(number, prompt))
    sent = run(scheduler, 6)
    told = [picture for one in sent for picture in one.pictures]
    first, second = sent[0].slots[0], 1 - sent[0].slots[0]
    assert [one for one in told if one.slot == first] == [
        SlotPicture(first, 2, 2, 3),
        *[SlotPicture(first, 8, 2, 10)] * (len(told) - 2),
    ]
    assert [one for one in told if one.slot == second] == [SlotPicture(second, 0, 2, 2)]
    assert len(told) > 3, "a picture of more rows than a microbatch has is named with each part"
    assert all(one.is_pictured == bool(one.pictures) for one in sent)


def test_of_a_picture_with_columns_all_rows_are_reused_or_none() -> None:
    scheduler = Scheduler(replace(LIMITS, max_batch_tokens=64))
    ids = list(range(10, 50))
    scheduler.add(sequence(1, prompt_of(ids, (b"a", 20), num_columns=4)))
    run(scheduler, 2)
    scheduler.end(1)
    ends_in_it, goes_on = (
        sequence(number, prompt_of(ids, (b"a", 20), *rest, num_columns=4)) for number, rest in ((2, ()), (3, ([5, 6],)))
    )
    for asked, num_cached in ((ends_in_it, 40), (goes_on, 60)):
        scheduler.add(asked)
        run(scheduler, 1)
        assert asked.num_cached == num_cached
        scheduler.end(asked.request_id)
    without = sequence(4, prompt_of(ids, (b"a", 20)))
    assert (without.last_cut(50), goes_on.last_cut(50), goes_on.last_cut(40), goes_on.last_cut(60)) == (50, 40, 40, 60)


def test_a_part_of_a_picture_that_a_slot_holds_is_computed_again() -> None:
    scheduler = Scheduler(replace(LIMITS, max_batch_tokens=40))
    ids = list(range(10, 50))
    prompt = prompt_of(ids, (b"a", 60), [5], num_columns=4)
    scheduler.add(sequence(1, prompt))
    run(scheduler, 2)
    scheduler.end(1)  # with 40 of its 60 rows there
    again = sequence(2, prompt)
    scheduler.add(again)
    sent = run(scheduler, 1)[0]
    assert again.num_cached == 40
    assert (sent.positions[0], sent.slot_starts[0].length) == (40, 40)


def test_after_stages_died_the_rows_are_sent_again_from_the_first_on() -> None:
    scheduler = Scheduler(LIMITS)
    asked = sequence(1, prompt_of([7], (b"a", 3), [9]))
    scheduler.add(asked)
    run(scheduler, 3)
    assert asked.num_generated == 1
    scheduler.interrupt()
    scheduler.reset(1)
    again = run(scheduler, 3)
    assert [shown(one)[2] for one in again] == [None, [0.0, 1.0, 2.0], None]
    assert again[-1].tokens.tolist() == [9, 5], "with the token that was drawn behind it"


def test_nothing_is_guessed_ahead_of_pictures() -> None:
    assert most_drafted(sequence(1, prompt_of((b"a", 3), [9])), LIMITS) == 0
    assert most_drafted(sequence(1, prompt_of([8, 9])), LIMITS) == 3


def test_stand_ins_are_good_in_their_places_only() -> None:
    prompt = prompt_of([1], (b"a", 2))
    check_tokens(prompt.token_ids, VOCABULARY, prompt.pictures)
    with pytest.raises(UsageError, match=r"token 1 is -\d+, outside of the vocabulary"):
        check_tokens(prompt.token_ids, VOCABULARY)
    with pytest.raises(UsageError, match=r"token 3 is -\d+, outside of the vocabulary"):
        check_tokens((*prompt.token_ids, prompt.token_ids[1]), VOCABULARY, prompt.pictures)


def test_stand_ins_depend_on_the_name_and_are_all_different() -> None:
    one, other = stand_ins(b"a", 5000), stand_ins(b"b", 5000)
    assert one == stand_ins(b"a", 5000)
    assert one[:100] == stand_ins(b"a", 100)
    assert max(one + other) < 0
    assert set(one).isdisjoint(other)


def whole_prompt(*pieces: list[int] | tuple[bytes, int]) -> PicturedPrompt:
    """The rows of its pictures see each other."""
    return prompt_of(*pieces, non_causal=True)


def run_rounds(scheduler: Scheduler, num_rounds: int) -> list[Microbatch]:
    """As many microbatches at a time as may be under way."""
    sent = []
    for _ in range(num_rounds):
        for microbatch in (together := fill(scheduler)):
            answer(scheduler, microbatch)
        sent += together
    return sent


def test_a_picture_whose_rows_see_each_other_is_one_microbatch_whatever_is_best() -> None:
    """A short chunk would keep those who read tokens waiting less."""
    scheduler = Scheduler(replace(LIMITS, max_batch_tokens=32))
    scheduler.add(sequence(1, whole_prompt([7, 8], (b"a", 30), [9])))
    sent = run(scheduler, 3)
    assert [shown(one)[2] for one in sent] == [None, list(range(30)), None]
    assert [one.non_causal for one in sent] == [False, True, False]
    scheduler.add(sequence(2, whole_prompt([5], (b"b", 30), [6])))
    rows = [len(one.tokens) for one in run_rounds(scheduler, 6) if one.is_pictured]
    assert rows == [30], "while others decode, too"


def test_nothing_goes_beside_a_picture_whose_rows_see_each_other() -> None:
    scheduler = Scheduler(replace(LIMITS, max_batch_tokens=64))
    for number, prompt in enumerate((whole_prompt((b"a", 3), [5]), whole_prompt((b"b", 2), [8]), prompt_of((b"c", 4)))):
        scheduler.add(sequence(number, prompt))
    sent = [one for one in run_rounds(scheduler, 8) if one.is_pictured]
    assert sorted((one.non_causal, len(set(one.slots.tolist())), len(one.tokens)) for one in sent) == [
        (False, 1, 4),
        (True, 1, 2),
        (True, 1, 3),
    ]


def test_a_prompt_that_ends_with_such_a_picture_takes_it_from_nowhere_in_part() -> None:
    """Its last row is computed again, to be sampled from; and so are those that see it."""
    scheduler = Scheduler(replace(LIMITS, max_batch_tokens=64))
    ids = list(range(10, 50))
    for number in (1, 2):
        asked = sequence(number, whole_prompt(ids, (b"a", 20)))
        scheduler.add(asked)
        sent = run(scheduler, 2 if number == 1 else 1)
        assert len(sent[-1].tokens) == 20
        assert sent[-1].non_causal
        scheduler.end(number)
    assert asked.num_cached == 40
    longer = sequence(3, whole_prompt(ids, (b"a", 20), [5]))
    scheduler.add(longer)
    run(scheduler, 1)
    assert longer.num_cached == 60


def test_a_picture_that_begins_where_a_slot_ends_does_not_join_texts() -> None:
    """What a prompt starts with is known when it has its slot: rows of a picture may be next then."""
    for non_causal in (False, True):
        scheduler = Scheduler(replace(LIMITS, max_batch_tokens=64))
        ids = list(range(10, 50))
        scheduler.add(sequence(1, prompt_of(ids)))
        run(scheduler, 1)
        scheduler.end(1)
        scheduler.add(sequence(2, prompt_of([7, 8, 9])))
        scheduler.add(sequence(3, prompt_of(ids, (b"a", 20), [5], non_causal=non_causal)))
        sent = run_rounds(scheduler, 6)
        assert [shown(one)[2] is not None for one in sent].count(True) == 1
        assert all(one.is_pictured == (one.rows is not None) for one in sent)
        assert all(one.rows is None or len(one.rows) == len(one.tokens) for one in sent)


def test_after_stages_died_such_a_picture_is_sent_again_as_a_whole() -> None:
    scheduler = Scheduler(LIMITS)
    scheduler.add(sequence(1, whole_prompt([7], (b"a", 12), [9])))
    run(scheduler, 3)
    scheduler.interrupt()
    scheduler.reset(1)
    again = run(scheduler, 3)
    assert [(one.non_causal, len(one.tokens)) for one in again] == [(False, 1), (True, 12), (False, 2)]


def test_one_that_no_microbatch_has_room_for_is_refused() -> None:
    scheduler = Scheduler(LIMITS)
    with pytest.raises(UsageError, match=r"a picture of 17 rows, .* at most 16 rows: .* larger --ubatch-size"):
        scheduler.add(sequence(1, whole_prompt((b"a", 17))))
    scheduler.add(sequence(2, prompt_of((b"a", 17))))
