"""The scheduler by itself: what it puts into microbatches, and what it does with results."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.errors import CapacityError, ClusterError, UsageError
from cluster.api.sampling import SamplingParams
from cluster.engine.limits import Limits
from cluster.engine.scheduler import Scheduler, StepOutcome
from cluster.engine.sequence import Sequence, State
from cluster.messages.stage import StageCosts
from cluster.messages.step import Microbatch, SampledToken, SlotStart, StepId, StepResult
from tests.fakes.fake_stages import VOCABULARY

_LIMITS = Limits(num_slots=8, context_length=64, max_batch_tokens=16, num_stages=2, max_waiting=4)
_PARAMS = SamplingParams(seed=1)


def scheduler(**changes: int) -> Scheduler:
    return Scheduler(dataclasses.replace(_LIMITS, **changes))


def sequence(request_id: int, num_tokens: int = 1, *, logits: bool = False) -> Sequence:
    return Sequence(request_id, tuple(range(1, num_tokens + 1)), None if logits else _PARAMS)


def answer(microbatch: Microbatch, token: int = 5) -> StepResult:
    """What the last stage would say."""
    sampled = tuple(SampledToken(int(row), int(microbatch.slots[row]), token, -1.0) for row in microbatch.samples)
    num_logits = len(microbatch.returns_logits)
    logits = np.zeros((num_logits, VOCABULARY.num_tokens), np.float32) if num_logits else None
    return StepResult(microbatch.id, sampled, logits)


def send(scheduler: Scheduler) -> Microbatch:
    microbatch = scheduler.next_batch(0.0)
    assert microbatch is not None
    return microbatch


def finish_first_step(scheduler: Scheduler, num_sequences: int) -> list[Microbatch]:
    """Sequences 1.. of one token each, all of them computed once; the microbatches they ran in."""
    for request_id in range(1, num_sequences + 1):
        scheduler.add(sequence(request_id))
    microbatches = []
    while (microbatch := scheduler.next_batch(0.0)) is not None:
        microbatches.append(microbatch)
    for microbatch in microbatches:
        scheduler.complete(answer(microbatch), 0.0)
    return microbatches


def fill(scheduler: Scheduler, now_s: float = 0.0) -> list[Microbatch]:
    """All that can be sent now."""
    return list(iter(lambda: scheduler.next_batch(now_s), None))


def test_a_prompt_is_cut_into_chunks_that_are_sent_behind_one_another() -> None:
    engine, request = scheduler(max_batch_tokens=4), sequence(1, 10)
    engine.add(request)
    microbatches = fill(engine)
    seen = [
        (microbatch.positions.tolist(), microbatch.samples.tolist(), [new.slot for new in microbatch.new_sampling])
        for microbatch in microbatches
    ]
    assert seen == [([0, 1, 2, 3], [], []), ([4, 5, 6, 7], [], []), ([8, 9], [1], [0])]
    assert (request.num_computed, request.num_in_flight) == (0, 10)
    for microbatch in microbatches:
        engine.complete(answer(microbatch), 0.0)
    assert request.log == [*range(1, 11), 5]
    following = send(engine)
    assert (following.tokens.tolist(), following.positions.tolist()) == ([5], [10])
    assert following.new_sampling == (), "sampling parameters travel once"


def test_one_chunk_at_a_time_if_that_is_asked_for() -> None:
    engine = scheduler(max_batch_tokens=4, pipeline_prompts=False)
    engine.add(sequence(1, 10))
    for num_rows in (4, 4, 2):
        chunk, *following = fill(engine)
        assert chunk.num_rows == num_rows
        assert [microbatch.pending.tolist() for microbatch in following] == ([[0]] if num_rows == 2 else [])
        engine.complete(answer(chunk), 0.0)


def test_sampled_tokens_go_first_and_prompts_in_microbatches_of_their_own() -> None:
    engine = scheduler(num_stages=1, max_batch_tokens=6)
    engine.add(sequence(1, 2))
    engine.complete(answer(send(engine)), 0.0)
    engine.add(sequence(2, 9))
    engine.add(sequence(3, 9))
    decode, prompt = fill(engine)
    assert (decode.slots.tolist(), decode.positions.tolist()) == ([0], [2])
    assert prompt.slots.tolist() == [1] * 6
    assert not prompt.wants_logits.any()
    engine.complete(answer(prompt), 0.0)
    assert send(engine).slots.tolist() == [1, 1, 1, 2, 2, 2], "sorted by slot; the first prompt first"


@pytest.mark.parametrize(("num_stages", "sizes"), [(1, [8]), (2, [4, 4]), (3, [3, 3, 2]), (4, [2, 2, 2, 2])])
def test_sequences_are_split_evenly_over_the_stages(num_stages: int, sizes: list[int]) -> None:
    engine = scheduler(num_stages=num_stages)
    finish_first_step(engine, 8)
    microbatches = [microbatch for microbatch in fill(engine) if microbatch.after is None]
    assert [microbatch.num_rows for microbatch in microbatches] == sizes
    assert sorted(microbatch.id.microbatch for microbatch in microbatches) == list(range(num_stages))


@pytest.mark.parametrize("num_stages", [1, 2])
def test_a_step_of_all_sequences_is_followed_by_the_next_before_its_tokens_are_known(num_stages: int) -> None:
    engine, only = scheduler(num_stages=num_stages), sequence(1, 3)
    engine.add(only)
    prompt, first = fill(engine)
    assert (first.pending.tolist(), first.positions.tolist(), first.samples.tolist()) == ([0], [3], [0])
    assert (first.after, prompt.after) == (prompt.id.step, None)
    engine.complete(answer(prompt, token=5), 0.0)
    (second,) = fill(engine)
    assert (second.pending.tolist(), second.positions.tolist(), second.after) == ([0], [4], first.id.step)
    engine.complete(answer(first, token=6), 0.0)
    engine.complete(answer(second, token=7), 0.0)
    assert only.log == [1, 2, 3, 5, 6, 7]
    (third, _) = fill(engine)
    assert (third.tokens.tolist(), third.pending.tolist(), third.after) == ([7], [], None), "it is known by now"


def test_no_row_is_sent_ahead_for_a_sequence_that_will_have_all_its_tokens() -> None:
    engine = scheduler(num_stages=1, context_length=8)
    engine.add(Sequence(1, (1,), dataclasses.replace(_PARAMS, max_tokens=2)))
    engine.add(sequence(2, 7))
    engine.add(sequence(3, 1))
    prompts, following = fill(engine)
    assert following.slots.tolist() == [0, 2], "the second has filled its context"
    engine.complete(answer(prompts), 0.0)
    engine.end(2)
    (last,) = fill(engine)
    assert last.slots.tolist() == [2], "the first has its two tokens"


def test_a_sequence_that_ends_leaves_the_row_that_was_sent_ahead_to_nobody() -> None:
    engine = scheduler(num_slots=1)
    ended, following = sequence(1, 20), sequence(2, 21)
    engine.add(ended)
    prompt, *rest = fill(engine)
    *_, ahead = rest
    engine.add(following)
    for microbatch in (prompt, *rest[:-1]):
        engine.complete(answer(microbatch), 0.0)
    engine.end(1)
    assert engine.complete(answer(ahead, token=9), 0.0) == []
    started = send(engine)
    assert started.slot_starts == (SlotStart(0, 0, 20),), "what it shares with the ended one is there"


def test_a_prompt_goes_before_rows_that_could_be_sent_ahead() -> None:
    engine = scheduler()
    engine.add(sequence(1))
    engine.complete(answer(send(engine)), 0.0)
    engine.add(sequence(2, 5))
    decode, prompt = fill(engine)
    assert (decode.num_rows, prompt.num_rows, prompt.after) == (1, 5, None)


def test_five_sequences_fill_four_stages() -> None:
    engine = scheduler(num_stages=4)
    finish_first_step(engine, 5)
    assert [microbatch.num_rows for microbatch in fill(engine)] == [2, 1, 1, 1]


def test_uneven_lanes_become_even_again() -> None:
    engine = scheduler()
    finish_first_step(engine, 8)
    first, second = send(engine), send(engine)
    engine.complete(answer(first), 0.0)
    for request_id in (1, 2, 3):
        engine.end(request_id)
    alone = send(engine)
    assert (alone.num_rows, second.num_rows) == (1, 4)
    engine.complete(answer(second), 0.0)
    assert send(engine).num_rows == 3
    engine.complete(answer(alone), 0.0)
    assert send(engine).num_rows == 2


def test_a_prompt_is_computed_even_if_decoding_could_fill_every_microbatch() -> None:
    engine = scheduler(num_stages=1, max_batch_tokens=2)
    for request_id in (1, 2, 3):
        engine.add(sequence(request_id))
    prompt = sequence(4, 5)
    engine.add(prompt)
    in_flight: list[Microbatch] = []
    for _ in range(20):
        in_flight += fill(engine)
        engine.complete(answer(in_flight.pop(0)), 0.0)
    assert prompt.num_generated > 0


def test_few_sequences_go_together_and_alone_where_that_is_faster() -> None:
    """Four rows cost what one does, and a stage that computes alone is twice as fast."""
    costs = StageCosts(((1, 4.0), (4, 4.0), (5, 8.0), (8, 8.0)), ((1, 2.0), (4, 2.0), (5, 4.0), (8, 4.0)))
    engine = scheduler()
    engine.reset(1, (costs, costs))
    finish_first_step(engine, 4)
    (together,) = fill(engine)
    assert (together.num_rows, together.exclusive, together.after) == (4, True, None)
    assert engine.hold_s(0.0) == pytest.approx(0.001), "6 ms, and 5 ms before its end the next is sent"
    (ahead,) = fill(engine, 0.0012)
    assert (ahead.pending.tolist(), ahead.exclusive, ahead.after) == ([0, 1, 2, 3], True, together.id.step)
    engine.add(sequence(9, 30))
    assert fill(engine, 0.1) == [], "nothing else while one is alone and has one behind it"
    seen, last = [], ahead
    for now_s in range(1, 5):
        engine.complete(answer(together), now_s)
        together, (following,) = last, fill(engine, now_s + 0.9)
        assert (following.exclusive, following.after) == (True, last.id.step)
        seen.append(len(np.unique(following.slots)))
        last = following
    assert seen == [1, 4, 1, 4], "chunks of the prompt and steps of the others take turns"


def test_steps_are_alone_again_once_that_is_faster_for_those_who_are_there() -> None:
    """Three sequences share the stages; with a fourth, which lets kernels compute at their best, they take turns."""
    costs = StageCosts(
        ((1, 10.0), (2, 10.0), (3, 40.0), (4, 20.0), (8, 60.0)), ((1, 5.0), (2, 5.0), (3, 20.0), (4, 10.0), (8, 30.0))
    )
    engine = scheduler()
    engine.reset(1, (costs, costs))
    for request_id in range(1, 4):
        engine.add(sequence(request_id))
    under_way = fill(engine)

    def serve(num_steps: int) -> list[tuple[int, bool]]:
        """Rows, and whether alone, of the steps that are sent while so many are answered, in order."""
        sent = []
        for _ in range(num_steps):
            engine.complete(answer(under_way.pop(0)), 0.0)
            new = fill(engine)
            under_way.extend(new)
            sent += [(microbatch.num_rows, microbatch.exclusive) for microbatch in new]
        return sent

    assert sorted(serve(8)[-4:]) == [(1, False), (1, False), (2, False), (2, False)]
    engine.add(sequence(4))
    assert serve(8)[-4:] == [(4, True)] * 4


def test_requests_that_come_close_together_to_idle_stages_begin_together() -> None:
    costs = StageCosts(((1, 50.0), (8, 60.0)))  # a step of one row takes 100 ms: 10 ms are waited for one more
    engine = scheduler()
    engine.reset(1, (costs, costs))
    engine.add(sequence(1), 7.0)
    assert engine.next_batch(7.0) is None
    assert engine.hold_s(7.004) == pytest.approx(0.006)
    engine.add(sequence(2), 7.008)
    assert engine.next_batch(7.012) is None
    together = engine.next_batch(7.0181)
    assert together is not None
    assert together.slots.tolist() == [0, 1]
    engine.add(sequence(3), 7.02)
    assert engine.next_batch(7.02) is not None, "the stages are not idle"


def test_nobody_is_held_back_for_long_however_many_come() -> None:
    costs = StageCosts(((1, 50.0), (8, 60.0)))
    engine = scheduler(num_slots=16, max_waiting=99)
    engine.reset(1, (costs, costs))
    for number in range(9):
        now_s = 7.0 + 0.009 * number
        engine.add(sequence(number), now_s)
        if (microbatch := engine.next_batch(now_s)) is not None:
            break
    assert microbatch is not None
    assert 7.045 < now_s <= 7.06
    assert microbatch.num_rows == number + 1


def test_the_pipeline_is_shared_where_that_is_faster() -> None:
    costs = StageCosts(((1, 4.0), (4, 4.0), (5, 8.0), (8, 8.0)))
    engine = scheduler()
    engine.reset(1, (costs, costs))
    finish_first_step(engine, 8)
    assert [(microbatch.num_rows, microbatch.exclusive) for microbatch in fill(engine)] == [(4, False), (4, False)]


def test_logits_requests_return_every_row_within_the_limit() -> None:
    engine = scheduler(max_logits_rows=3)
    engine.add(sequence(1, 7, logits=True))
    firsts = []
    for num_rows in (3, 3, 1):
        microbatch = send(engine)
        assert microbatch.num_rows == num_rows
        assert microbatch.returns_logits.tolist() == list(range(num_rows))
        assert microbatch.wants_logits.all()
        assert not len(microbatch.samples)
        (outcome,) = engine.complete(answer(microbatch), 0.0)
        assert outcome.logits is not None
        firsts.append((outcome.first, len(outcome.logits)))
    assert firsts == [(0, 3), (3, 3), (6, 1)]
    assert engine.next_batch(0.0) is None


def test_a_slot_that_is_used_again_starts_empty() -> None:
    engine = scheduler(num_slots=1)
    engine.add(sequence(1))
    engine.add(sequence(2, 3))
    engine.complete(answer(send(engine)), 0.0)
    engine.end(1)
    microbatch = send(engine)
    assert microbatch.slot_starts == (SlotStart(0, 0, 0),)
    assert microbatch.slots.tolist() == [0, 0, 0]
    engine.complete(answer(microbatch), 0.0)
    assert send(engine).slot_starts == (), "once"


def test_a_cancelled_sequence_in_flight_frees_its_slot_and_its_token_is_dropped() -> None:
    engine = scheduler(num_slots=1)
    cancelled, following = sequence(1), sequence(2)
    engine.add(cancelled)
    engine.add(following)
    in_flight = send(engine)
    engine.end(1)
    reused = send(engine)
    assert (reused.slot_starts, reused.slots.tolist()) == ((SlotStart(0, 0, 0),), [0])
    assert engine.complete(answer(in_flight, token=7), 0.0) == []
    assert cancelled.log == [1]
    assert following.log == [1], "the dropped token belongs to nobody"
    (outcome,) = engine.complete(answer(reused, token=8), 0.0)
    assert (outcome.sequence, following.log) == (following, [1, 8])


def test_a_prompt_waits_for_one_that_computes_its_beginning() -> None:
    engine = scheduler(context_length=200)
    for request_id in (1, 2):
        engine.add(sequence(request_id, 30))
    first, rest, following = fill(engine)
    assert first.slots.tolist() == [0] * 16
    assert rest.slots.tolist() == [0] * 14
    assert following.slot_starts == (SlotStart(1, 0, 29),)
    assert (following.slots.tolist(), following.positions.tolist()) == ([1], [29])


def test_a_model_that_keeps_running_states_computes_every_prompt_whole() -> None:
    engine = scheduler(context_length=200, max_batch_tokens=64, can_truncate=False)
    for request_id in (1, 2):
        engine.add(sequence(request_id, 30))
    starts = [start for microbatch in fill(engine) for start in microbatch.slot_starts]
    assert starts == [SlotStart(0, 0, 0), SlotStart(1, 1, 0)]


def test_results_that_come_twice_or_are_old_or_unknown_are_dropped() -> None:
    engine, request = scheduler(), sequence(1)
    engine.add(request)
    result = answer(send(engine))
    assert len(engine.complete(result, 0.0)) == 1
    assert engine.complete(result, 0.0) == []
    assert engine.complete(StepResult(StepId(0, 1, 77), ()), 0.0) == []
    assert request.log == [1, 5]
    stale = answer(send(engine))
    engine.reset(1)
    assert engine.complete(stale, 0.0) == []
    assert (request.state, request.log) == (State.WAITING, [1, 5])
    again = send(engine)
    assert (again.id, again.tokens.tolist()) == (StepId(1, 0, 0), [1, 5])


def test_results_that_do_not_answer_their_microbatch_are_refused_and_settle_nothing() -> None:
    engine, request = scheduler(), sequence(1, 2)
    engine.add(request)
    good = answer(send(engine))
    (token,) = good.sampled
    wrong = [
        dataclasses.replace(good, sampled=()),
        dataclasses.replace(good, sampled=(token, token)),
        dataclasses.replace(good, sampled=(dataclasses.replace(token, row=0),)),
        dataclasses.replace(good, sampled=(dataclasses.replace(token, slot=3),)),
        dataclasses.replace(good, logits=np.zeros((1, 4), np.float32)),
    ]
    for result in wrong:
        with pytest.raises(ClusterError, match="step result"):
            engine.complete(result, 0.0)
    assert request.log == [1, 2]
    assert len(engine.complete(good, 0.0)) == 1


def test_the_queue_is_bounded_and_first_come_first_served() -> None:
    engine = scheduler(num_slots=2, max_waiting=3)
    for request_id in range(5):
        engine.add(sequence(request_id))
    with pytest.raises(CapacityError, match=r"queue: full.*try again later"):
        engine.add(sequence(5))
    assert {outcome.sequence.request_id for outcome in run_all(engine)} == {0, 1}
    engine.end(0)
    engine.end(3)
    assert {outcome.sequence.request_id for outcome in run_all(engine)} == {1, 2}


def run_all(engine: Scheduler) -> list[StepOutcome]:
    """One step of every sequence that can run."""
    microbatches = list(iter(lambda: engine.next_batch(0.0), None))
    return list(itertools.chain(*(engine.complete(answer(microbatch), 0.0) for microbatch in microbatches)))


def test_prompts_that_cannot_run_are_refused() -> None:
    engine = scheduler(context_length=4)
    with pytest.raises(UsageError, match="no tokens"):
        engine.add(sequence(1, 0))
    with pytest.raises(UsageError, match="5 tokens, but the context holds 4"):
        engine.add(sequence(2, 5))
    engine.add(sequence(3, 4))


@pytest.mark.parametrize("name", ["num_slots", "context_length", "max_batch_tokens", "num_stages"])
def test_limits_that_leave_no_room_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name}: 0"):
        dataclasses.replace(_LIMITS, **{name: 0})


@given(
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(1, 9),
    st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=40),
)
def test_no_stage_is_left_idle_while_there_is_work_for_it(
    num_stages: int, num_slots: int, max_batch_tokens: int, script: list[tuple[int, bool]]
) -> None:
    """Random arrivals, ends and answers: no share is exceeded, and nobody waits for a lane that is free."""
    engine = scheduler(
        num_stages=num_stages,
        num_slots=num_slots,
        max_batch_tokens=max_batch_tokens,
        max_logits_rows=2,
        max_waiting=99,
    )
    in_flight: list[Microbatch] = []
    running: set[int] = set()
    for request_id, (num_tokens, logits) in enumerate(script):
        if num_tokens:
            engine.add(sequence(request_id, num_tokens, logits=logits))
            running.add(request_id)
        elif in_flight:
            for outcome in engine.complete(answer(in_flight.pop(0)), 0.0):
                if outcome.sequence.num_generated > 2 or not outcome.sequence.num_remaining:
                    engine.end(outcome.sequence.request_id)
                    running.remove(outcome.sequence.request_id)
        for microbatch in fill(engine):
            in_flight.append(microbatch)
            assert microbatch.num_rows <= max_batch_tokens
        assert engine.num_in_flight == len(in_flight) <= num_stages + 1
        assert in_flight or not running
        assert engine.num_slots_used == num_slots or engine.num_waiting == 0 or len(in_flight) >= 1
