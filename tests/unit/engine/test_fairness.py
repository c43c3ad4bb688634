"""Clients share slots, queue and chunks: however much one asks for, another's turn comes."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.errors import CapacityError
from cluster.api.sampling import SamplingParams
from cluster.engine.limits import Limits
from cluster.engine.scheduler import Scheduler
from cluster.engine.sequence import Sequence
from cluster.fairness.queue import FairQueue
from tests.unit.engine.test_loop import Run
from tests.unit.engine.test_scheduler import answer, run_all, send

_LIMITS = Limits(num_slots=4, context_length=64, max_batch_tokens=16, num_stages=1, max_waiting=8)
_PARAMS = SamplingParams(seed=1, ignore_eos=True)


def ask(engine: Scheduler, request_id: int, client: str, num_tokens: int = 1) -> Sequence | None:
    # No prompt begins like another's: none waits for what another computes.
    tokens = tuple(1 + (request_id * 7 + position) % 20 for position in range(num_tokens))
    return engine.add(Sequence(request_id, tokens, _PARAMS, client))


def started(engine: Scheduler) -> list[int]:
    """Request ids in the order in which they got their slots."""
    return list(engine._running)


def queue_of(*waiting: tuple[int, str]) -> FairQueue[int]:
    queue: FairQueue[int] = FairQueue()
    for key, client in waiting:
        queue.add(key, client, key)
    return queue


def test_with_one_client_it_is_first_come_first_served() -> None:
    queue = queue_of(*((key, "one") for key in range(5)))
    assert queue.remove(2) == 2
    assert queue.remove(2) is None
    assert list(queue.in_order({"one": 7})) == [0, 1, 3, 4]
    assert (len(queue), queue.clear(), len(queue)) == (4, [0, 1, 3, 4], 0)


def test_who_has_least_goes_first_and_of_equals_who_came_first() -> None:
    queue = queue_of((0, "many"), (1, "many"), (2, "many"), (3, "few"), (4, "none"), (5, "few"))
    assert list(queue.in_order({"many": 2, "few": 1})) == [4, 3, 0, 5, 1, 2]
    assert list(queue.in_order({})) == [0, 3, 4, 1, 5, 2]
    assert queue.take(0) == 0
    assert list(queue.in_order({})) == [3, 4, 1, 5, 2], "who was just served, goes behind those who were not"
    queue.add(6, "new", 6)
    assert list(queue.in_order({})) == [3, 4, 6, 1, 5, 2]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=40), st.integers(0, 5))
def test_turns_are_fair_whatever_comes_and_goes(script: list[tuple[str, bool]], num_held: int) -> None:
    """Nobody is ahead of another that still waits by more than one; each client's own come in order."""
    queue: FairQueue[tuple[str, int]] = FairQueue()
    for key, (client, stays) in enumerate(script):
        queue.add(key, client, (client, key))
        if not stays:
            queue.remove(key // 2)
    given_to = {"a": num_held, "b": 0, "c": 0}
    turns = list(queue.in_order(given_to))
    assert len(turns) == len(queue)
    for number, (client, key) in enumerate(turns):
        later = turns[number + 1 :]
        assert all(key < other_key for other, other_key in later if other == client)
        assert all(given_to[client] <= given_to[other] for other, _ in later)
        given_to[client] += 1


def test_the_newest_of_whoever_has_most_gives_way() -> None:
    queue = queue_of((0, "many"), (1, "few"), (2, "many"), (3, "many"))
    assert queue.gives_way_to("new", {}) == 3
    assert queue.gives_way_to("few", {}) == 3
    assert queue.gives_way_to("many", {}) is None
    assert queue.gives_way_to("few", {"few": 1}) is None, "they would only change places"
    assert queue.gives_way_to("new", {"few": 9}) == 1, "what it holds elsewhere counts"
    assert FairQueue[int]().gives_way_to("new", {}) is None


def test_a_slot_that_comes_free_goes_to_the_client_that_has_none() -> None:
    engine = Scheduler(_LIMITS)
    for request_id in range(10):
        ask(engine, request_id, "greedy")
    run_all(engine)
    assert started(engine) == [0, 1, 2, 3]
    ask(engine, 10, "modest")
    engine.end(2)
    run_all(engine)
    assert started(engine) == [0, 1, 3, 10]
    engine.end(10)
    assert ask(engine, 11, "modest") is None
    run_all(engine)
    assert started(engine) == [0, 1, 3, 11], "it has none again, so it is first again"


def test_a_full_queue_makes_room_for_a_client_that_has_less() -> None:
    engine = Scheduler(dataclasses.replace(_LIMITS, max_waiting=3))
    for request_id in range(4):
        ask(engine, request_id, "greedy")
    run_all(engine)
    for request_id in range(4, 7):
        ask(engine, request_id, "greedy")
    with pytest.raises(CapacityError, match="queue: full, with 4 requests running and 3 waiting"):
        ask(engine, 7, "greedy")
    for request_id, displaced in ((8, 6), (9, 5), (10, 4)):
        gone = ask(engine, request_id, "modest")
        assert gone is not None
        assert gone.request_id == displaced, "the newest first"
        assert engine.num_waiting == 3
    with pytest.raises(CapacityError):
        ask(engine, 11, "modest")
    engine.end(0)
    run_all(engine)
    assert started(engine)[-1] == 8


def test_the_request_that_gives_way_is_told_so_and_all_others_are_served() -> None:
    run = Run(dataclasses.replace(_LIMITS, num_slots=1, max_waiting=2, context_length=48))
    params = SamplingParams(seed=3, max_tokens=4, ignore_eos=True)
    greedy = [run.ask([1, 2, number], params, client="greedy") for number in range(4)]
    modest = run.ask([5, 6], params, at_s=1.0, client="modest")
    run.run()
    assert [type(reader.error) for reader in greedy] == [type(None), type(None), CapacityError, CapacityError]
    assert modest.error is None
    assert len(modest.tokens) == 4
    ended = [reader.ended_s for reader in (greedy[0], modest, greedy[1])]
    assert ended == sorted(ended), "the second client's follows the first that ends"
    run.check_nothing_leaks()
    assert run.engine.snapshot().num_requests == 3, "one that gave way was not served"


def test_a_long_prompt_does_not_keep_another_clients_short_one_waiting() -> None:
    engine = Scheduler(dataclasses.replace(_LIMITS, pipeline_prompts=False, max_batch_tokens=4))
    ask(engine, 1, "long", 40)
    ask(engine, 2, "long", 40)
    first = send(engine)
    ask(engine, 3, "short", 3)
    engine.complete(answer(first), 0.0)
    second = send(engine)
    assert engine._running[3].num_sent == 3, "its turn comes with the next chunk"
    engine.complete(answer(second), 0.0)
    engine.end(3)
    num_sent = engine._running[1].num_sent
    send(engine)
    assert engine._running[1].num_sent > num_sent


def test_nobody_starves_while_short_prompts_of_ever_new_clients_keep_coming() -> None:
    engine = Scheduler(dataclasses.replace(_LIMITS, pipeline_prompts=False, max_batch_tokens=4))
    ask(engine, 1, "long", 40)
    for request_id in range(2, 70):
        ask(engine, request_id, f"short {request_id}", 4)
        microbatch = send(engine)
        engine.complete(answer(microbatch), 0.0)
        if 1 in engine._running and engine._running[1].num_generated:
            break
        for done in list(engine._running):
            if done != 1 and engine._running[done].num_generated:
                engine.end(done)
    assert engine._running[1].num_generated, "the long prompt has come through"
