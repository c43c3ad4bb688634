"""CallEngine over stages that record: every call is answered once, whatever becomes of the stages."""

from __future__ import annotations

import random
import threading
import time

import pytest

from cluster.api.errors import CapacityError, ClusterError, StageLostError, UnreachableError
from cluster.engine.calls.engine import CallEngine
from cluster.engine.events import Reset
from cluster.messages.program import Arrays, CallFailure, ProgramResult
from cluster.messages.stage import StageFailure
from cluster.messages.step import StepTiming
from tests.fakes.wire_backends import wait_until
from tests.unit.engine.calls.calls import RecordingStages, World, arrays_of, step_id


def test_calls_are_answered_in_whatever_order_results_come() -> None:
    world = World(num_stages=2)
    for number in range(5):
        world.ask(number)
    assert world.stages.numbers == [0, 1, 2], "one for each stage, and one on its way"
    world.answer_next(2)
    world.answer_next(0)
    assert world.stages.numbers == [0, 1, 2, 3, 4]
    assert [world.results(number) for number in range(5)] == [[0], [], [20], [], []]
    for place in (1, 3, 4):
        world.answer_next(place)
    assert [world.results(number) for number in range(5)] == [[0], [10], [20], [30], [40]]
    found = world.engine.snapshot()
    assert (found.num_requests, found.num_in_flight, found.num_waiting, found.failure) == (5, 0, 0, None)
    assert [step.symbols for step in world.stages.sent] == [(0,), (1,), (2,), (3,), (4,)]


def test_a_failure_of_one_call_harms_no_other() -> None:
    world = World()
    world.ask(0)
    world.ask(1)
    world.answer(world.stages.sent[0], CallFailure("CapacityError", "memory: too little"))
    world.answer_next(1)
    assert isinstance(world.error(0), CapacityError)
    assert str(world.error(0)) == "memory: too little"
    assert world.results(1) == [10]


@pytest.mark.parametrize("kind", ["NoSuchError", "OSError", "annotations", "Any", ""])
def test_an_error_of_another_version_is_a_cluster_error(kind: str) -> None:
    world = World()
    world.ask(0)
    world.answer(world.stages.sent[0], CallFailure(kind, "why"))
    assert type(world.error(0)) is ClusterError


def test_duplicates_and_strange_results_are_dropped() -> None:
    world = World()
    world.ask(0)
    for strange in (step_id(0, 0, 5), step_id(9, 0, 0), step_id(0, 7, 0)):
        world.engine.deliver(ProgramResult(strange, arrays_of(1)))
    assert world.told[0] == []
    world.answer_next(0)
    world.answer_next(0)
    assert world.results(0) == [0]
    assert world.engine.snapshot().num_requests == 1


def test_cancelled_calls_are_told_nothing_and_free_their_lane() -> None:
    world = World(num_stages=1)
    asked = [world.ask(number) for number in range(4)]
    world.engine.cancel(asked[0])  # under way
    world.engine.cancel(asked[2])  # waits
    world.engine.cancel(12345)
    world.answer_next(0)
    assert world.stages.numbers == [0, 1, 3]
    for place in (1, 2):
        world.answer_next(place)
    assert [world.results(number) for number in range(4)] == [[], [10], [], [30]]
    assert world.told[0] == world.told[2] == []


def test_a_full_queue_refuses_and_the_newest_of_the_greedy_gives_way() -> None:
    world = World(num_stages=1, max_waiting=2)
    for number in range(5):
        world.ask(number, "many")
    assert isinstance(world.error(4), CapacityError)
    world.ask(10, "few")
    assert isinstance(world.error(3), UnreachableError)
    assert "it is full" in str(world.error(3))
    world.answer_next(0)
    assert world.stages.numbers[-1] == 10


def test_without_a_queue_only_lanes_are_used() -> None:
    world = World(num_stages=1, max_waiting=0)
    for number in range(3):
        world.ask(number)
    assert world.stages.numbers == [0, 1]
    assert isinstance(world.error(2), CapacityError)
    world.answer_next(0)
    world.ask(3)
    assert world.stages.numbers == [0, 1, 3]


def test_a_lost_stage_ends_all_calls_and_refuses_new_ones_until_the_reset() -> None:
    world = World(num_stages=1)
    for number in range(4):
        world.ask(number)
    failure = StageFailure(1, 0, "the process\nended")
    world.engine.fail(failure)
    world.engine.fail(StageFailure(0, 0, "a second one"))
    for number in range(4):
        assert isinstance(world.error(number), StageLostError)
        assert "stage 1: lost: the process ended" in str(world.error(number))
    assert world.engine.failure == failure
    world.ask(5)
    assert isinstance(world.error(5), StageLostError)
    world.answer_next(0)
    world.engine.reset(Reset(1))
    assert world.engine.failure is None
    world.answer_next(1)  # of the epoch before
    world.ask(6)
    assert world.stages.sent[-1].id == step_id(1, 0, 0)
    world.answer_next(-1)
    assert world.results(6) == [60]
    assert all(len(told) == 1 for told in world.told.values())


def test_failures_of_other_epochs() -> None:
    world = World()
    world.engine.reset(Reset(3))
    world.ask(0)
    world.engine.fail(StageFailure(0, 2, "old"))
    assert world.engine.failure is None
    early = StageFailure(1, 4, "early")
    world.engine.fail(early)
    assert world.engine.failure is None
    assert world.told[0] == []
    world.engine.reset(Reset(4))
    assert world.engine.failure == early
    assert "stage 1: lost: early" in str(world.error(0))
    world.ask(1)
    assert isinstance(world.error(1), StageLostError)
    world.engine.reset(Reset(5))
    assert world.engine.failure is None


def test_an_early_failure_of_an_epoch_that_never_began_is_dropped() -> None:
    world = World()
    world.engine.fail(StageFailure(0, 1, "early"))
    world.engine.reset(Reset(2))
    assert world.engine.failure is None


@pytest.mark.parametrize("epoch", [2, 3])
def test_an_epoch_that_is_not_newer_is_ignored(epoch: int) -> None:
    world = World()
    world.engine.reset(Reset(3))
    world.ask(0)
    world.engine.reset(Reset(epoch))
    world.answer_next(0)
    assert world.results(0) == [0]


def test_stages_that_cannot_be_sent_to_are_lost() -> None:
    world = World(num_stages=1)
    world.ask(0)
    world.stages.error = UnreachableError("stage 0: gone")
    world.ask(1)
    assert [type(world.error(number)) for number in (0, 1)] == [StageLostError] * 2
    assert world.engine.failure is not None
    assert world.engine.snapshot().num_in_flight == 0


def test_the_cause_is_told_where_it_is_known() -> None:
    told: list[Arrays | ClusterError] = []
    engine = CallEngine(
        RecordingStages(), 1, 1, find_cause=lambda failure: StageFailure(2, failure.epoch, "out of memory")
    )
    engine.submit((), {}, told.append)
    engine.fail(StageFailure(0, 0, "its neighbour is silent"))
    assert "stage 2: lost: out of memory" in str(told[0])


def test_stopping_ends_all_calls_and_takes_no_more() -> None:
    world = World(num_stages=1)
    for number in range(3):
        world.ask(number)
    world.engine.stop()
    world.ask(3)
    assert all("shutting down" in str(world.error(number)) for number in range(4))
    world.answer_next(0)
    world.engine.stop()
    assert all(len(told) == 1 for told in world.told.values())


def test_a_reader_that_raises_does_not_stop_the_others() -> None:
    world = World(num_stages=1)

    def broken(answer: Arrays | ClusterError) -> None:
        raise RuntimeError("the reader is gone")

    world.engine.submit((), arrays_of(7), broken)
    world.ask(1)
    world.ask(2)
    world.answer_next(0)
    world.engine.fail(StageFailure(0, 0, "lost"))
    assert isinstance(world.error(2), StageLostError)


def test_a_reader_that_asks_again_at_once_is_answered() -> None:
    world = World(num_stages=1)
    world.engine.submit((), arrays_of(0), lambda answer: world.ask(1) and None)
    world.answer_next(0)
    world.answer_next(-1)
    assert world.results(1) == [10]


def test_calls_that_are_under_way_are_computed_again_in_a_newer_epoch() -> None:
    world = World(num_stages=1, patience_s=100.0)
    for number in range(4):
        world.ask(number)
    world.answer_next(0)
    world.engine.fail(StageFailure(0, 0, "killed"))
    assert world.engine.snapshot().is_holding
    world.ask(4)  # while nobody is there
    assert world.stages.numbers == [0, 1, 2]
    world.engine.reset(Reset(1))
    assert [step.id.epoch for step in world.stages.sent] == [0, 0, 0, 1, 1]
    assert world.stages.numbers[3:] == [1, 2]
    for place in range(1, 7):
        world.answer_next(place)  # the first two are of the epoch before
    assert [world.results(number) for number in range(5)] == [[0], [10], [20], [30], [40]]


def test_patience_has_an_end() -> None:
    world = World(num_stages=1, patience_s=0.05)
    for number in range(3):
        world.ask(number)
    world.engine.fail(StageFailure(0, 0, "killed"))
    wait_until(lambda: all(world.told[number] for number in range(3)), 10)
    assert "stage 0: lost: killed" in str(world.error(2))
    world.ask(3)
    assert isinstance(world.error(3), StageLostError)
    world.engine.reset(Reset(1))
    world.ask(4)
    world.answer_next(-1)
    assert world.results(4) == [40]


def test_patience_begins_anew_while_the_stages_come_along() -> None:
    world = World(num_stages=1, patience_s=2.0)
    world.ask(0)
    world.engine.fail(StageFailure(0, 0, "killed"))
    for _ in range(10):
        time.sleep(0.25)
        world.engine.expect()
    assert world.told[0] == []
    world.engine.reset(Reset(1))
    world.engine.expect()
    world.answer_next(-1)
    assert world.results(0) == [0]


def test_a_call_that_stages_die_of_again_and_again_ends_alone() -> None:
    world = World(num_stages=1, patience_s=100.0)
    world.ask(0)
    for epoch in range(3):
        world.engine.fail(StageFailure(0, epoch, "killed"))
        world.engine.reset(Reset(epoch + 1))
    world.ask(1)
    world.answer_next(-1)
    assert "for the third time while it was computed" in str(world.error(0))
    assert world.results(1) == [10]


def test_broken_connections_are_nobodys_fault_where_the_stages_live() -> None:
    world = World(num_stages=1, patience_s=100.0)
    world.ask(0)
    for epoch in range(6):
        world.engine.cut(StageFailure(0, epoch, "its stream broke"))
        world.engine.reset(Reset(epoch + 1, are_same=True))
    world.answer_next(-1)
    assert world.results(0) == [0]
    world.ask(1)
    for epoch in range(6, 9):
        world.engine.cut(StageFailure(0, epoch, "its stream broke"))
        world.engine.reset(Reset(epoch + 1))  # others had to take their places
    assert "for the third time while it was computed" in str(world.error(1))


def test_a_pause_waits_for_what_is_under_way_and_holds_the_rest() -> None:
    world = World(num_stages=1)
    for number in range(3):
        world.ask(number)
    pausing = threading.Thread(target=world.engine.pause, args=("it is moved", 30.0))
    pausing.start()
    wait_until(lambda: world.engine._pause is not None, 10)
    world.answer_next(0)
    assert pausing.is_alive()
    assert world.stages.numbers == [0, 1], "nothing more is sent"
    world.answer_next(1)
    pausing.join(10)
    assert not pausing.is_alive()
    assert world.told[2] == []
    assert world.engine.snapshot().is_on_purpose
    world.engine.reset(Reset(1))
    world.answer_next(-1)
    assert [world.results(number) for number in range(3)] == [[0], [10], [20]]
    world.engine.stop()
    world.engine.pause("again", 30.0)  # at once: nothing is sent any more


def test_timings_are_kept_by_stage() -> None:
    world = World(num_stages=2)
    timing = StepTiming(step_id(0, 0, 0), 1, 1, 10, 20, 5)
    world.engine.deliver(timing)
    assert (world.engine.timings(0), world.engine.timings(1)) == ((), (timing,))


def test_each_call_is_answered_once_whoever_speaks_at_the_same_time() -> None:
    world = World(num_stages=3, max_waiting=1000)
    is_over = threading.Event()

    def ask(client: int) -> None:
        for number in range(100):
            asked = client * 1000 + number
            world.ask(asked, str(client))
            while not world.told[asked]:  # nobody runs ahead of the server, however busy the machine is
                time.sleep(0.0001)

    def serve() -> None:
        chance, done = random.Random(0), 0
        while not is_over.is_set() or done < len(world.stages.sent):
            for place in range(done, len(world.stages.sent)):
                world.answer_next(place)
                done = place + 1
                if chance.random() < 0.02:
                    world.engine.reset(Reset(world.engine.snapshot().epoch + 1))

    server = threading.Thread(target=serve)
    askers = [threading.Thread(target=ask, args=(client,)) for client in range(4)]
    server.start()
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    is_over.set()
    server.join()
    world.engine.stop()
    assert len(world.told) == 400
    assert all(len(told) == 1 for told in world.told.values())
    assert sum(len(world.results(number)) for number in world.told) > 100
