"""Collectives over rings of threads and of gRPC streams."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cluster.api.errors import ClusterError, HandshakeError, UnauthenticatedError, UnreachableError
from cluster.node.secret import Secret
from cluster.train import collectives
from cluster.train.process_group import ProcessGroup
from cluster.wire.access.endpoint import Endpoint, Listener
from cluster.wire.local import meeting
from cluster.wire.local.memory import Written
from cluster.wire.ring.link import RingLink

SECRET = Secret(bytes(range(32)))


@pytest.fixture(autouse=True, params=["memory", "socket", "grpc"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the ranks of one machine say to each other passes memory, or a Unix socket where the system has no such
    memory; elsewhere it stays with gRPC."""
    monkeypatch.setattr(meeting, "CAN_MEET", request.param != "grpc")
    if request.param == "socket":
        monkeypatch.setattr(Written, "of", lambda num_bytes: None)
    return str(request.param)


def on_each(world_size: int, work: Callable[[ProcessGroup], Any], timeout_s: float = 20.0) -> list[Any]:
    """What `work` returns, or the error that it raises, on each rank: one thread each, over real streams."""
    groups = [ProcessGroup(rank, world_size, Listener(SECRET), timeout_s) for rank in range(world_size)]
    found: list[Any] = [None] * world_size

    def run(rank: int) -> None:
        try:
            groups[rank].join([Endpoint(group.address, SECRET) for group in groups])
            found[rank] = work(groups[rank])
        except ClusterError as error:
            found[rank] = error
        finally:
            groups[rank].close()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(world_size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return found


def of_rank(rank: int, length: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(rank).standard_normal(length).astype(np.float32)


@pytest.mark.parametrize("length", [0, 1, 3, 1000])
@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
def test_sums_are_those_of_all_ranks_and_equal_to_the_bit(world_size: int, length: int) -> None:
    def work(group: ProcessGroup) -> np.ndarray[Any, Any]:
        array = of_rank(group.rank, length)
        collectives.barrier(group)  # of no bytes nothing is sent: a rank might leave before the others have come
        collectives.all_reduce(group, array)
        return array

    found = on_each(world_size, work)
    wanted = sum(of_rank(rank, length).astype(np.float64) for rank in range(world_size))
    for array in found:
        np.testing.assert_array_equal(array, found[0])
        np.testing.assert_allclose(array, wanted, rtol=1e-5, atol=1e-6)


def test_an_array_longer_than_what_travels_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collectives, "MAX_SENT_BYTES", 1 << 10)
    length = 10_001

    def work(group: ProcessGroup) -> tuple[Any, ...]:
        array, sent = of_rank(group.rank, length), of_rank(group.rank, length)
        collectives.all_reduce(group, array)
        collectives.broadcast(group, sent, 2)
        return array, sent, collectives.all_gather(group, of_rank(group.rank, length))

    for array, sent, gathered in on_each(3, work):
        np.testing.assert_allclose(array, sum(of_rank(rank, length) for rank in range(3)), rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(sent, of_rank(2, length))
        for rank in range(3):
            np.testing.assert_array_equal(gathered[rank], of_rank(rank, length))


def test_bytes_leave_grpc_where_the_ranks_meet(way: str) -> None:
    def work(group: ProcessGroup) -> tuple[bool, bool]:
        collectives.barrier(group)
        assert group._link is not None
        return group._link._frames is not None, group._link._sharing is not None

    assert on_each(2, work) == [(way != "grpc", way == "memory")] * 2


@pytest.mark.parametrize("name", ["maximum", "minimum", "multiply"])
def test_other_functions_than_the_sum(name: str) -> None:
    def work(group: ProcessGroup) -> tuple[Any, Any]:
        array, parts = of_rank(group.rank, 100), of_rank(group.rank, 99)
        collectives.all_reduce(group, array, getattr(np, name))
        return array, collectives.reduce_scatter(group, parts, getattr(np, name))

    function = getattr(np, name)
    whole, parts = (function.reduce([of_rank(rank, length) for rank in range(3)]) for length in (100, 99))
    for rank, (array, part) in enumerate(on_each(3, work)):
        np.testing.assert_allclose(array, whole, rtol=1e-6)
        np.testing.assert_allclose(part, parts[33 * rank : 33 * rank + 33], rtol=1e-6)


def test_more_is_sent_than_the_memory_holds_at_once() -> None:
    """Three times around the memory, and each rank a little behind the other."""
    length = 7 << 20  # elements: two of its halves are more than a segment

    def work(group: ProcessGroup) -> Any:
        array = np.arange(length, dtype=np.float32) % 1000 + group.rank
        for _ in range(2):
            collectives.all_reduce(group, array)
        return array[:: 1 << 16]

    wanted = 4 * (np.arange(length, dtype=np.float32) % 1000) + 2
    for found in on_each(2, work, timeout_s=60.0):
        np.testing.assert_array_equal(found, wanted[:: 1 << 16])


def test_ranks_wait_at_a_barrier() -> None:
    here: list[int] = []

    def work(group: ProcessGroup) -> int:
        if group.rank == 1:
            threading.Event().wait(0.3)
        here.append(group.rank)
        collectives.barrier(group)
        return len(here)

    assert on_each(3, work) == [3, 3, 3]


def test_a_rank_that_leaves_is_an_error_for_the_others_not_a_wait() -> None:
    def work(group: ProcessGroup) -> str:
        if group.rank == 1:
            return "left"
        array = of_rank(group.rank, 10)
        for _ in range(2):
            collectives.all_reduce(group, array)
        return "done"

    found = on_each(3, work)
    assert found[1] == "left"
    assert all(isinstance(error, UnreachableError) for error in (found[0], found[2])), found


def test_a_rank_that_is_silent_is_given_up() -> None:
    over = threading.Event()

    def work(group: ProcessGroup) -> None:
        if group.rank == 1:
            over.wait(20)
            return
        try:
            collectives.barrier(group)
        finally:
            over.set()

    assert "nothing came for 1 s" in str(on_each(2, work, timeout_s=1.0)[0])


def test_arrays_that_differ_between_ranks_are_an_error() -> None:
    def work(group: ProcessGroup) -> None:
        collectives.broadcast(group, of_rank(0, 100 if group.rank == 0 else 50), 0)

    assert "50" not in str(on_each(2, work)[0])
    assert "200 bytes were expected and more came" in str(on_each(2, work)[1])


def test_strangers_and_other_ranks_are_turned_away() -> None:
    group = ProcessGroup(1, 3, Listener(SECRET))
    try:
        with pytest.raises(UnauthenticatedError):
            RingLink(0, 3, Endpoint(group.address, Secret(bytes(32))))
        with pytest.raises(HandshakeError, match="rank 2 of 3 called rank 1 of 3, which rank 0 sends to"):
            RingLink(2, 3, Endpoint(group.address, SECRET))
        with pytest.raises(HandshakeError, match="rank 0 of 4"):
            RingLink(0, 4, Endpoint(group.address, SECRET))
        first = RingLink(0, 3, Endpoint(group.address, SECRET))
        with pytest.raises(HandshakeError, match="rank 0 sends to rank 1 already"):
            RingLink(0, 3, Endpoint(group.address, SECRET))
        first.send(memoryview(b"abc"))
        taken: list[bytes] = []
        group.receive_each(3, lambda part: taken.append(bytes(part)))
        assert taken == [b"abc"]
        first.close()
    finally:
        group.close()


@pytest.mark.parametrize("world_size", [2, 3])
def test_parts_of_sums_and_parts_that_differ_in_length(world_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collectives, "MAX_SENT_BYTES", 1 << 8)
    length = 100

    def work(group: ProcessGroup) -> tuple[Any, ...]:
        part = collectives.reduce_scatter(group, of_rank(group.rank, world_size * length))
        parts = [np.zeros(70 * rank, np.float32) for rank in range(world_size)]
        parts[group.rank][:] = of_rank(group.rank, 70 * group.rank)
        collectives.all_gather_parts(group, parts)
        return part, parts

    whole = sum(of_rank(rank, world_size * length) for rank in range(world_size))
    for rank, (part, parts) in enumerate(on_each(world_size, work)):
        np.testing.assert_allclose(part, whole[rank * length : (rank + 1) * length], rtol=1e-5, atol=1e-6)
        for other in range(world_size):
            np.testing.assert_array_equal(parts[other], of_rank(other, 70 * other))


def test_direct_streams_are_taken_once_from_each_other_rank() -> None:
    group = ProcessGroup(1, 3, Listener(SECRET))
    endpoint = Endpoint(group.address, SECRET)
    try:
        with pytest.raises(UnauthenticatedError):
            RingLink(2, 3, Endpoint(group.address, Secret(bytes(32))), 1)
        for rank, world_size in ((1, 3), (3, 3), (0, 4)):
            with pytest.raises(HandshakeError, match=f"rank {rank} of {world_size} called rank 1 of 3 directly"):
                RingLink(rank, world_size, endpoint, 1)
        first = RingLink(2, 3, endpoint, 1)
        with pytest.raises(HandshakeError, match="rank 2 sends to rank 1 directly already"):
            RingLink(2, 3, endpoint, 1)
        first.send(memoryview(b"abc"))
        assert group.receive_from(2, 3) == b"abc"
        first.close()
    finally:
        group.close()


@pytest.mark.parametrize("gone", [0, 2])
def test_a_neighbour_that_never_sent_anything_directly_is_missed_when_it_leaves(gone: int) -> None:
    def work(group: ProcessGroup) -> str:
        if group.rank == 1:
            group.receive_from(gone, 4)
        return "left"

    assert isinstance(on_each(3, work)[1], UnreachableError)
