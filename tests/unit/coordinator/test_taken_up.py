"""Requests that the coordinator before this one left open: who comes back for them, when, and what he gets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from cluster.api.errors import ClusterError, UnreachableError, UsageError
from cluster.api.results import TokenEvent
from cluster.api.sampling import SamplingParams
from cluster.coordinator.journal.asked import Asked
from cluster.coordinator.journal.kept import Kept
from cluster.coordinator.taken_up import TakenUp
from cluster.wire.codec.answer import Output
from cluster.wire.inference.backend import EventSink
from tests.fakes.wire_backends import wait_until


def ticket(number: int) -> bytes:
    return bytes([number]) * 16


def event(token: int) -> TokenEvent:
    return TokenEvent(token, chr(token), 0.0)


def kept(number: int, *events: TokenEvent, num_tries: int = 0) -> Kept:
    return Kept(Asked(ticket(number), (1, 2), SamplingParams(seed=number), "somebody"), events, num_tries)


def forgotten(ticket: bytes) -> None:
    """Where nobody looks."""


@dataclass
class Engine:
    """Where they are begun again."""

    begun: list[tuple[Asked, tuple[int, ...]]] = field(default_factory=list)
    sinks: list[EventSink] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    error: ClusterError | None = None

    def start(self, asked: Asked, begun: tuple[int, ...], sink: EventSink) -> Callable[[], None]:
        if self.error is not None:
            raise self.error
        place = len(self.begun)
        self.begun.append((asked, begun))
        self.sinks.append(sink)
        return lambda: self.cancelled.append(place)


def test_what_came_before_and_since_is_given_once_in_order() -> None:
    engine, got = Engine(), list[Output]()
    first = kept(1, TokenEvent(None, ""), event(65), event(66))
    taken_up = TakenUp([first, kept(2)], forgotten)
    taken_up.begin(engine.start)
    assert engine.begun == [(first.asked, (65, 66)), (kept(2).asked, ())]
    engine.sinks[0](event(67))
    assert taken_up.attach(ticket(1), 2, got.append) is not None
    engine.sinks[0](event(68))
    assert got == [event(66), event(67), event(68)]
    assert taken_up.attach(ticket(9), 0, got.append) is None
    taken_up.close()


def test_a_client_may_be_back_before_the_stages_are() -> None:
    engine, got = Engine(), list[Output]()
    taken_up = TakenUp([kept(1, event(65))], forgotten)
    cancel = taken_up.attach(ticket(1), 0, got.append)
    assert cancel is not None
    taken_up.begin(engine.start)
    engine.sinks[0](event(66))
    assert got == [event(65), event(66)]
    cancel()
    assert engine.cancelled == [0]
    taken_up.close()


def test_who_leaves_before_the_stages_are_there_is_not_computed_for() -> None:
    engine = Engine()
    taken_up = TakenUp([kept(1)], forgotten)
    cancel = taken_up.attach(ticket(1), 0, lambda output: None)
    assert cancel is not None
    cancel()
    taken_up.begin(engine.start)
    assert engine.begun == []
    taken_up.close()


def test_what_cannot_be_begun_again_ends_with_the_reason() -> None:
    engine, got, forgotten = Engine(error=UsageError("grammar: no")), list[Output](), list[bytes]()
    taken_up = TakenUp([kept(1)], forgotten.append)
    taken_up.begin(engine.start)
    cancel = taken_up.attach(ticket(1), 0, got.append)
    assert [str(one) for one in got] == ["grammar: no"]
    assert cancel is not None and not forgotten
    cancel()
    assert forgotten == [ticket(1)], "the next coordinator does not try it, too"
    taken_up.close()


def test_more_than_there_was_cannot_have_been_received() -> None:
    taken_up = TakenUp([kept(1, event(65))], forgotten)
    with pytest.raises(UsageError, match="num_received: 2 events, but there were 1"):
        taken_up.attach(ticket(1), 2, lambda output: None)
    assert taken_up.attach(ticket(1), 1, lambda output: None) is not None  # who asks rightly finds it still
    taken_up.close()


def test_nobody_is_waited_for_for_ever() -> None:
    engine, got = Engine(), list[Output]()
    taken_up = TakenUp([kept(1, event(65)), kept(2)], forgotten, grace_s=0.3)
    taken_up.begin(engine.start)
    taken_up.attach(ticket(2), 0, got.append)
    wait_until(lambda: engine.cancelled == [0], 10)
    assert taken_up.attach(ticket(1), 0, got.append) is None
    wait_until(lambda: not taken_up._grace.is_alive(), 10)
    engine.sinks[1](event(66))
    assert got == [event(66)]


def test_those_that_coordinators_died_with_are_begun_one_by_one() -> None:
    engine = Engine()
    numbers = {1: 1, 2: 0, 3: 2, 4: 1, 5: 1}
    taken_up = TakenUp([kept(number, num_tries=tries) for number, tries in numbers.items()], forgotten)
    thread = threading.Thread(target=taken_up.begin, args=(engine.start,))
    thread.start()

    def begun() -> list[int]:
        return [asked.ticket[0] for asked, _ in engine.begun]

    wait_until(lambda: begun() == [2, 1], 10)
    time.sleep(0.05)
    assert begun() == [2, 1], "the first of them has not got on"
    engine.sinks[1](event(65))
    wait_until(lambda: begun() == [2, 1, 3], 10)
    cancel = taken_up.attach(ticket(3), 0, lambda output: None)
    assert cancel is not None
    cancel()
    wait_until(lambda: begun() == [2, 1, 3, 4], 10)
    taken_up.close()
    thread.join(10)
    assert begun() == [2, 1, 3, 4], "the process ends"


def test_one_that_coordinators_die_of_ends_with_an_error() -> None:
    engine, got = Engine(), list[Output]()
    taken_up = TakenUp([kept(1, event(65), num_tries=3), kept(2)], forgotten)
    taken_up.begin(engine.start)
    assert [asked.ticket for asked, _ in engine.begun] == [ticket(2)]
    taken_up.attach(ticket(1), 1, got.append)
    (error,) = got
    assert isinstance(error, UnreachableError)
    assert str(error) == "coordinator: it died 3 times while this was computed; do not ask for it again"
    taken_up.close()
