"""The computing thread takes what waits, and ends once it is told to, whatever else happens meanwhile."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from cluster.api.errors import UsageError
from cluster.stage.inbox import MAX_QUEUED_STEPS, Inbox
from cluster.wire.codec.step.frames import encode_step
from cluster.wire.local.frames import Frames
from cluster.wire.stage.steps import StepSource
from tests.fakes.wire_backends import make_batch, make_hello, make_hidden


def test_a_new_epoch_drops_what_waits() -> None:
    inbox = Inbox()
    inbox.put((make_batch(1), None, 0))
    inbox.drain()
    hello = make_hello()
    inbox.put(hello)
    assert inbox.get() is hello


def test_one_that_was_stopped_ends_even_if_an_epoch_begins_then() -> None:
    """A neighbour that says Hello once more, while this stage is taken down, must not keep its thread alive."""
    inbox = Inbox()
    inbox.put(make_hello())
    inbox.stop()
    inbox.drain()
    inbox.put(make_hello())
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(inbox.get).result(10) is None


def test_who_waits_to_put_waits_no_more_once_it_is_stopped() -> None:
    inbox = Inbox()
    for step in range(MAX_QUEUED_STEPS):
        inbox.put((make_batch(step), None, 0))
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(inbox.put, (make_batch(MAX_QUEUED_STEPS), None, 0))
        inbox.stop()
        waiting.result(10)


@pytest.fixture
def way() -> Iterator[tuple[Frames, StepSource, list[Exception]]]:
    """Where steps are sent, and the source that they come from."""
    there, here = (Frames(end) for end in socket.socketpair())
    refused: list[Exception] = []
    yield there, StepSource(here, make_hello(), refused.append), refused
    there.free()
    here.free()


def send(frames: Frames, step: int) -> None:
    for data in encode_step(make_batch(step), make_hidden()):
        frames.send(data)


def test_steps_of_this_machine_are_taken_behind_the_epoch_that_they_are_of(
    way: tuple[Frames, StepSource, list[Exception]],
) -> None:
    there, source, _ = way
    inbox, hello = Inbox(), make_hello()
    with ThreadPoolExecutor(1) as thread:
        send(there, 1)
        send(there, 2)
        inbox.put(hello)
        reading = thread.submit(inbox.read_from, source)
        assert inbox.get() is hello
        for step in (1, 2):
            taken = inbox.get()
            assert isinstance(taken, tuple)
            assert taken[0].id.step == step
            assert taken[2] <= time.monotonic_ns()
        there.close()
        assert not reading.done()
        inbox.put(hello)  # the end is noticed on the way to it, or later
        assert inbox.get() is hello
        source.end()
        reading.result(10)


def test_a_source_whose_sender_is_gone_is_left(way: tuple[Frames, StepSource, list[Exception]]) -> None:
    there, source, _ = way
    inbox = Inbox()
    with ThreadPoolExecutor(2) as threads:
        waiting = threads.submit(inbox.get)
        reading = threads.submit(inbox.read_from, source)
        there.close()
        reading.result(10)
        assert not waiting.done()
        inbox.stop()
        assert waiting.result(10) is None


def test_the_end_of_a_source_does_not_wait_for_a_step_that_is_computed(
    way: tuple[Frames, StepSource, list[Exception]],
) -> None:
    """Nobody calls `get` meanwhile; another epoch may begin then."""
    _, source, _ = way
    with ThreadPoolExecutor(1) as thread:
        reading = thread.submit(Inbox().read_from, source)
        source.end()
        reading.result(10)


def test_a_wrong_step_ends_its_source(way: tuple[Frames, StepSource, list[Exception]]) -> None:
    there, source, refused = way
    inbox = Inbox()
    with ThreadPoolExecutor(2) as threads:
        waiting = threads.submit(inbox.get)
        reading = threads.submit(inbox.read_from, source)
        send(there, 1)
        assert waiting.result(10) is not None
        waiting = threads.submit(inbox.get)
        there.send(b"\xff")
        reading.result(10)
        assert [type(error) for error in refused] == [UsageError]
        assert source.error is refused[0]
        inbox.stop()
        assert waiting.result(10) is None


def test_a_step_in_many_pieces_is_taken_once_it_is_whole(way: tuple[Frames, StepSource, list[Exception]]) -> None:
    there, source, _ = way
    inbox = Inbox()
    (data,) = encode_step(make_batch(1), make_hidden())
    frame = len(data).to_bytes(4, "little") + data
    with ThreadPoolExecutor(2) as threads:
        waiting = threads.submit(inbox.get)
        reading = threads.submit(inbox.read_from, source)
        for place in range(0, len(frame), 7):
            there._socket.send(frame[place : place + 7])
            time.sleep(0.001)
        taken = waiting.result(10)
        assert isinstance(taken, tuple)
        assert taken[0].id.step == 1
        source.end()
        reading.result(10)
