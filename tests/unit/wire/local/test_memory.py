"""Memory between two processes: parts lie where they are said to, and what is said is believed only within bounds."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Iterator

import pytest

from cluster.api.errors import UnreachableError, UsageError
from cluster.wire.local.frames import Frames
from cluster.wire.local.memory import RELEASED, WORD, Read, Sharing, Written


@pytest.fixture
def written() -> Iterator[Written]:
    memory = Written(1000)
    yield memory
    memory.close()


@pytest.fixture
def pair() -> Iterator[tuple[Frames, Frames]]:
    one, other = (Frames(end) for end in socket.socketpair())
    yield one, other
    one.free()
    other.free()


def reader(memory: Written) -> Read:
    return Read(os.dup(memory.file), memory.num_bytes)


@pytest.mark.parametrize("seed", range(12))
def test_parts_stay_as_they_were_written_until_they_are_released(written: Written, seed: int) -> None:
    draw, read = random.Random(seed), reader(written)
    parts: list[tuple[bytes, bytes]] = []
    num_put = 0
    for _ in range(400):
        if parts and draw.random() < 0.45:
            word, data = parts.pop(0)
            assert read.part(word) == data
            written.release()
            continue
        data = draw.randbytes(draw.randint(1, 300))
        word = written.put(memoryview(data))
        if word is None:
            assert sum(len(one) for _, one in parts) + len(data) > 350, "there was room"
        else:
            num_put += 1
            parts.append((word, data))
        for known, wanted in parts:
            assert read.part(known) == wanted
    assert num_put > 100


def test_it_begins_anew_where_nothing_is_left(written: Written) -> None:
    for _ in range(3):
        word = written.put(memoryview(bytes(1000)))
        assert word is not None and WORD.unpack(word) == (0, 1000)
        assert written.put(memoryview(b"x")) is None
        written.release()
    assert written.put(memoryview(bytes(1001))) is None
    with pytest.raises(UsageError, match="what nobody sent"):
        written.release()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (b"", "0 bytes name no place"),
        (bytes(17), "17 bytes name no place"),
        (WORD.pack(990, 11), "11 bytes at 990 lie outside of 1000"),
        (WORD.pack(1 << 63, 1 << 63), "lie outside of 1000"),
    ],
)
def test_words_are_checked(written: Written, word: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        reader(written).part(word)


def test_a_file_that_could_shrink_or_has_another_size_is_refused(written: Written) -> None:
    with pytest.raises(UsageError, match="not what was announced"):
        Read(os.dup(written.file), 999)
    unsealed = os.memfd_create("unsealed", os.MFD_ALLOW_SEALING)
    os.ftruncate(unsealed, 1000)
    with pytest.raises(UsageError, match="not what was announced"):
        Read(unsealed, 1000)
    with pytest.raises(UsageError, match="cannot be used"):
        Read(os.open(os.devnull, os.O_RDONLY), 0)
    with pytest.raises(OSError):
        os.ftruncate(written.file, 0)


def test_who_writes_waits_for_room_and_is_told_when_the_other_end_is_gone(pair: tuple[Frames, Frames]) -> None:
    here, there = pair
    memory = Written(100)
    sharing = Sharing(here, memory)
    read = Read(there.receive_file(5.0), 100)
    messages = there.messages()
    assert sharing.put(memoryview(bytes(60)), 0.0)
    assert not sharing.put(memoryview(bytes(60)), 0.01)
    later = threading.Timer(0.05, there.send, (RELEASED,))
    later.start()
    assert sharing.put(memoryview(b"y" * 60), 5.0)
    later.join()
    assert read.part(next(messages)) == b"y" * 60  # in the same place
    assert read.part(next(messages)) == b"y" * 60
    there.send(b"no release")
    with pytest.raises(UsageError, match="10 bytes came back"):
        sharing.put(memoryview(b"z"), 0.0)
    there.close()
    with pytest.raises(UnreachableError):
        sharing.put(memoryview(b"z"), 0.0)
    sharing.close()


def test_a_file_comes_whole_or_is_an_error(pair: tuple[Frames, Frames]) -> None:
    here, there = pair
    with pytest.raises(UnreachableError, match="no file came"):
        there.receive_file(0.01)
    here.close()
    with pytest.raises(UsageError, match="something else came"):  # the end
        there.receive_file(5.0)


def test_something_else_than_a_file(pair: tuple[Frames, Frames]) -> None:
    here, there = pair
    here.send(b"no file")
    with pytest.raises(UsageError, match="something else came"):
        there.receive_file(5.0)
