"""Collectives: what all ranks of a ring do with their arrays together. Every rank calls the same, in the same order.

Sums are made in one order whatever arrives first: part i of an array is added up from rank i on, around the ring. So
all ranks have the same bits afterwards, and a run that is repeated has them, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cluster.api.errors import UsageError

Array = NDArray[Any]
Part = bytes | memoryview

# Bytes that a rank sends before it receives as many: they have to find room on the way, or all would wait for all.
# By reasoning: a quarter of what `wire.ring.incoming` holds.
MAX_SENT_BYTES = 16 << 20


class Ring(Protocol):
    """Where this rank stands, and its two neighbours."""

    @property
    def rank(self) -> int: ...

    @property
    def world_size(self) -> int: ...

    def send(self, data: memoryview) -> None:
        """To the next rank. UnreachableError once it is gone."""

    def receive_each(self, num_bytes: int, use: Callable[[Part], object]) -> None:
        """What the rank before sent next, part by part: `use` may look at one only while it is called.

        UnreachableError once that rank is gone, UsageError where it sent something else.
        """


def all_reduce(ring: Ring, array: Array, combine: np.ufunc = np.add) -> None:
    """The sum over all ranks, in the place of `array` ([N], contiguous): 2 (W - 1) / W of its bytes are sent.

    `combine`: another function of two values, in the place of their sum.
    """
    for segment in _segments(array, ring.world_size):
        parts = np.array_split(segment, ring.world_size)
        for step in range(ring.world_size - 1):
            _send(ring, parts[(ring.rank - step) % ring.world_size])
            part = parts[(ring.rank - step - 1) % ring.world_size]
            _receive(ring, part, combine)
        for step in range(ring.world_size - 1):
            _send(ring, parts[(ring.rank - step + 1) % ring.world_size])
            _receive(ring, parts[(ring.rank - step) % ring.world_size])


def broadcast(ring: Ring, array: Array, source: int) -> None:
    """What rank `source` has, in the place of `array` ([N], contiguous) of all others."""
    for segment in _segments(array, 1):
        if ring.rank != source:
            _receive(ring, segment)
        if (ring.rank + 1) % ring.world_size != source:
            _send(ring, segment)


def all_gather(ring: Ring, array: Array) -> list[Array]:
    """The arrays ([N], contiguous, equally long) of all ranks, in the order of ranks."""
    found = [np.empty_like(array) for _ in range(ring.world_size)]
    found[ring.rank][:] = array
    all_gather_parts(ring, found)
    return found


def all_gather_parts(ring: Ring, parts: Sequence[Array]) -> None:
    """`parts`: one array ([N of its rank], contiguous) for each rank, in whose place comes what that rank has in it.

    They may differ in length, as long as all ranks know all lengths.
    """
    for step in range(ring.world_size - 1):
        sent = _segments(parts[(ring.rank - step) % ring.world_size], 1)
        taken = _segments(parts[(ring.rank - step - 1) % ring.world_size], 1)
        for mine, theirs in zip_longest(sent, taken):
            if mine is not None:
                _send(ring, mine)
            if theirs is not None:
                _receive(ring, theirs)


def reduce_scatter(ring: Ring, array: Array, combine: np.ufunc = np.add) -> Array:
    """This rank's of W equal parts of `array` ([W * N], contiguous), summed over all ranks: [N].

    `array` is used up. (W - 1) / W of its bytes are sent. Part i is added up from rank i + 1 on, around the ring.
    """
    assert len(array) % ring.world_size == 0, "the caller pads"
    parts = array.reshape(ring.world_size, -1)
    for step in range(ring.world_size - 1):
        sent = _segments(parts[(ring.rank - step - 1) % ring.world_size], 1)
        taken = _segments(parts[(ring.rank - step - 2) % ring.world_size], 1)
        for mine, theirs in zip(sent, taken, strict=True):
            _send(ring, mine)
            _receive(ring, theirs, combine)
    return np.array(parts[ring.rank])


def barrier(ring: Ring) -> None:
    """Returns once every rank has come here."""
    all_reduce(ring, np.zeros(ring.world_size, np.float32))


def _segments(array: Array, num_parts: int) -> Iterator[Array]:
    """Pieces whose `num_parts` parts may each be sent before any is received."""
    length = num_parts * MAX_SENT_BYTES // array.itemsize
    for begin in range(0, len(array), length):
        yield array[begin : begin + length]


def _send(ring: Ring, part: Array) -> None:
    ring.send(part.view(np.uint8).data)


def _receive(ring: Ring, target: Array, combine: np.ufunc | None = None) -> None:
    """What the rank before sent, in the place of `target`, or combined with what is there."""
    at = 0

    def use(part: Part) -> None:
        nonlocal at
        if len(part) % target.itemsize:
            raise UsageError(f"ring: {len(part)} bytes came, and {target.dtype} was expected; all ranks must exchange "
                             "the same arrays in order")  # fmt: skip
        theirs = np.frombuffer(part, target.dtype)
        mine = target[at : at + len(theirs)]
        at += len(theirs)
        if combine is None:
            mine[:] = theirs
        else:
            combine(theirs, mine, out=mine)

    ring.receive_each(target.nbytes, use)
