"""Messages over a Unix socket: whole, in order, bounded, and no thread or file left."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from cluster.api.errors import CapacityError, UnreachableError, UsageError
from cluster.wire.limits import MAX_MESSAGE_BYTES
from cluster.wire.local.frames import Frames
from tests.fakes.wire_backends import no_thread_left, wait_until


@pytest.fixture
def pair() -> Iterator[tuple[Frames, Frames]]:
    with no_thread_left():
        one, other = (Frames(end) for end in socket.socketpair())
        yield one, other
        one.free()
        other.free()


@pytest.fixture
def raw() -> Iterator[tuple[socket.socket, Frames]]:
    with no_thread_left():
        theirs, ours = socket.socketpair()
        frames = Frames(ours)
        yield theirs, frames
        frames.free()
        theirs.close()


def test_messages_arrive_whole_and_in_order(pair: tuple[Frames, Frames]) -> None:
    """Those that fit the socket leave at once, those that do not by a thread, and none overtakes another."""
    one, other = pair
    sizes = [0, 1, 3, 16_384, 300_000, 5, 6_000_000, 0, 7, 65_532, 65_536, 65_537, 2, MAX_MESSAGE_BYTES, 9]
    sent = [bytes([place]) * size for place, size in enumerate(sizes)]
    for data in sent:
        one.send(data)
    received = other.messages()
    assert [next(received) for _ in sizes] == sent


def test_both_directions_at_once(pair: tuple[Frames, Frames]) -> None:
    one, other = pair

    def answer() -> None:
        for data in other.messages():
            other.send(data[::-1])

    thread = threading.Thread(target=answer)
    thread.start()
    answers = one.messages()
    for place in range(200):
        data = place.to_bytes(2, "little") * (1 + 997 * (place % 50))
        one.send(data)
        assert next(answers) == data[::-1]
    one.close()
    thread.join(5)
    assert not thread.is_alive()


def test_a_message_in_pieces(raw: tuple[socket.socket, Frames]) -> None:
    theirs, frames = raw
    for byte in (5).to_bytes(4, "little") + b"hello" + (2).to_bytes(4, "little") + b"y":
        theirs.send(bytes([byte]))
    received = frames.messages()
    assert next(received) == b"hello"
    theirs.send(b"o")
    assert next(received) == b"yo"


def test_what_is_too_long_is_no_message(raw: tuple[socket.socket, Frames]) -> None:
    theirs, frames = raw
    theirs.send((MAX_MESSAGE_BYTES + 1).to_bytes(4, "little"))
    with pytest.raises(UsageError, match="at most"):
        next(frames.messages())


def test_half_a_message_is_none(raw: tuple[socket.socket, Frames]) -> None:
    theirs, frames = raw
    theirs.send((5).to_bytes(4, "little") + b"hel")
    theirs.shutdown(socket.SHUT_WR)
    assert list(frames.messages()) == []


def test_whoever_does_not_read_is_cut_off_in_the_end(raw: tuple[socket.socket, Frames]) -> None:
    """And who sends has not waited: it is the thread that computes."""
    _, frames = raw
    data = bytes(4_000_000)
    frames.send(data)  # more than any socket takes
    frames.send(data, 2)
    with pytest.raises(CapacityError, match="more than 2"):
        frames.send(data, 2)
    assert not frames.wait_for_room(2, 0.01)


def test_room_comes_with_reading(pair: tuple[Frames, Frames]) -> None:
    one, other = pair
    for _ in range(3):
        one.send(bytes(1_000_000))
    received = other.messages()
    for _ in range(3):
        next(received)
    assert one.wait_for_room(1, 5)
    one.flush(0)


def test_an_end_that_is_gone_is_noticed(pair: tuple[Frames, Frames]) -> None:
    one, other = pair
    other.free()
    assert list(one.messages()) == []
    with pytest.raises(UnreachableError, match="gone"):
        one.send(b"anybody?")


def test_an_end_that_goes_while_much_is_unsent(pair: tuple[Frames, Frames]) -> None:
    one, other = pair
    one.send(bytes(MAX_MESSAGE_BYTES))
    one.send(b"more")
    other.free()

    def is_told() -> bool:
        try:
            one.send(b"anybody?")
        except UnreachableError:
            return True
        return False

    wait_until(is_told, 5)


def test_closing_wakes_who_reads(pair: tuple[Frames, Frames]) -> None:
    one, _ = pair
    read = list[bytes]()
    thread = threading.Thread(target=lambda: read.extend(one.messages()))
    thread.start()
    time.sleep(0.05)
    one.close()
    one.close()
    thread.join(5)
    assert not thread.is_alive()
    assert read == []
