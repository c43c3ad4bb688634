"""Which call goes next, without stages: clients, lanes, a full queue, and calls that nobody waits for."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from cluster.api.errors import CapacityError
from cluster.engine.calls.call import Call
from cluster.engine.calls.pipeline import CallPipeline
from cluster.messages.program import ProgramStep
from cluster.messages.step import StepId


def call(number: int, client: str = "one") -> Call:
    return Call(number, (number,), {}, client, lambda answer: None)


def filled(pipeline: CallPipeline) -> list[ProgramStep]:
    found = []
    while (step := pipeline.next_step()) is not None:
        found.append(step)
    return found


def numbers(steps: list[ProgramStep]) -> list[int]:
    return [step.symbols[0] for step in steps]


def test_calls_of_one_client_go_in_order_as_lanes_are_free() -> None:
    pipeline = CallPipeline(2, 10)
    for number in range(5):
        assert pipeline.add(call(number)) is None
    first = filled(pipeline)
    assert numbers(first) == [0, 1]
    assert [step.id for step in first] == [StepId(0, 0, 0), StepId(0, 1, 1)]
    assert (pipeline.num_in_flight, pipeline.num_waiting) == (2, 3)
    done = pipeline.complete(first[1].id)
    assert done is not None
    assert done.number == 1
    (following,) = filled(pipeline)
    assert (following.symbols, following.id) == ((2,), StepId(0, 1, 2)), "the lane that became free"


def test_a_client_with_one_call_does_not_wait_behind_all_of_another() -> None:
    pipeline = CallPipeline(2, 100)
    for number in range(10):
        pipeline.add(call(number, "many"))
    begun = filled(pipeline)
    pipeline.add(call(99, "few"))
    pipeline.complete(begun[0].id)
    assert numbers(filled(pipeline)) == [99]


def test_clients_take_turns() -> None:
    pipeline = CallPipeline(1, 100)
    for number in range(9):
        pipeline.add(call(number, "abc"[number // 3]))
    order = []
    for _ in range(9):
        (step,) = filled(pipeline)
        order.append("abc"[step.symbols[0] // 3])
        pipeline.complete(step.id)
    assert all(Counter(order[begin : begin + 3]) == Counter("abc") for begin in (0, 3, 6)), order


def test_a_full_queue_refuses_unless_another_has_more() -> None:
    pipeline = CallPipeline(1, 3)
    pipeline.add(call(0, "many"))
    filled(pipeline)
    for number in (1, 2, 3):
        pipeline.add(call(number, "many"))
    with pytest.raises(CapacityError, match="queue: 3 calls wait already"):
        pipeline.add(call(4, "many"))
    leaves = pipeline.add(call(5, "few"))
    assert leaves is not None
    assert leaves.number == 3, "the newest of whoever has most"
    assert pipeline.num_waiting == 3


def test_without_a_queue_calls_go_into_lanes_alone() -> None:
    pipeline = CallPipeline(2, 0)
    steps = []
    for number in range(2):
        assert pipeline.add(call(number)) is None
        steps += filled(pipeline)
    with pytest.raises(CapacityError):
        pipeline.add(call(2, "other"))
    pipeline.complete(steps[0].id)
    assert pipeline.add(call(3)) is None
    assert numbers(filled(pipeline)) == [3]


def test_a_result_counts_once_and_in_its_own_epoch() -> None:
    pipeline = CallPipeline(2, 10, epoch=4)
    pipeline.add(call(0))
    (step,) = filled(pipeline)
    assert step.id.epoch == 4
    assert pipeline.complete(StepId(3, 0, 0)) is None
    assert pipeline.complete(StepId(4, 1, 0)) is None
    assert pipeline.complete(StepId(4, 0, 1)) is None
    assert pipeline.num_in_flight == 1
    assert pipeline.complete(step.id) is not None
    assert pipeline.complete(step.id) is None
    pipeline.begin(5)
    for number in range(3):
        pipeline.add(call(number))
    assert [one.id for one in filled(pipeline)] == [StepId(5, 0, 0), StepId(5, 1, 1)], "no lane twice"


def test_cancelled_calls() -> None:
    pipeline = CallPipeline(1, 10)
    pipeline.add(call(0))
    (step,) = filled(pipeline)
    pipeline.add(call(1))
    pipeline.add(call(2))
    pipeline.cancel(1)
    pipeline.cancel(0)
    pipeline.cancel(77)
    assert (pipeline.num_waiting, pipeline.num_in_flight) == (1, 1), "what is under way keeps its lane"
    assert filled(pipeline) == []
    assert pipeline.complete(step.id) is None
    assert numbers(filled(pipeline)) == [2]
    assert [one.number for one in pipeline.clear()] == [2]
    assert (pipeline.num_waiting, pipeline.num_in_flight) == (0, 0)


def test_clearing_gives_those_under_way_first_but_no_cancelled_one() -> None:
    pipeline = CallPipeline(2, 10)
    for number in range(4):
        pipeline.add(call(number, "ab"[number % 2]))
    filled(pipeline)
    pipeline.cancel(1)
    assert [one.number for one in pipeline.clear()] == [0, 2, 3]
    assert pipeline.clear() == []


def test_whatever_happens_each_call_comes_out_once() -> None:
    chance = random.Random(3)
    for _ in range(50):
        lanes, room = chance.randint(1, 4), chance.randint(0, 5)
        pipeline, under_way = CallPipeline(lanes, room), list[ProgramStep]()
        asked, out, cancelled = set[int](), Counter[int](), set[int]()
        for number in range(60):
            asked.add(number)
            try:
                leaves = pipeline.add(call(number, chance.choice("abc")))
            except CapacityError:
                out[number] += 1
            else:
                if leaves is not None:
                    out[leaves.number] += 1
            under_way += filled(pipeline)
            assert len({step.id.microbatch for step in under_way}) == len(under_way) <= lanes
            assert pipeline.num_waiting <= room
            if chance.random() < 0.2:
                gone = chance.randrange(number + 1)
                if not out[gone]:
                    cancelled.add(gone)
                pipeline.cancel(gone)
            if under_way and chance.random() < 0.5:
                done = pipeline.complete(under_way.pop(chance.randrange(len(under_way))).id)
                if done is not None:
                    out[done.number] += 1
        out.update(one.number for one in pipeline.clear())
        assert set(out) | cancelled == asked
        assert not {number for number in cancelled if out[number]}
        assert set(out.values()) <= {0, 1}
