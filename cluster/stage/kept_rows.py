"""Hidden rows that were passed on, kept for a next stage that has to begin anew."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from cluster.messages.step import Float32Array, Int32Array

LEAST_ROWS = 64  # that room is made for at once


class KeptRows:
    """Of each slot the rows from its first token on, or none; one thread at a time.

    All slots together take at most so many bytes: those that have had no new row for longest are forgotten first, each
    as a whole, since its rows are of use from the first on only.
    """

    def __init__(self, max_bytes: int, width: int, num_slots: int, context_length: int) -> None:
        """`width`: floats of a row. With no bytes nothing is ever kept."""
        self._max_rows = max_bytes // (4 * width)
        self._width = width
        self._context_length = context_length
        self._rows: dict[int, Float32Array] = {}  # by slot, with room for more; longest without a new row first
        self._lengths = [0] * num_slots

    @property
    def lengths(self) -> tuple[int, ...]:
        """How many rows are kept of each slot; () where none ever are."""
        return tuple(self._lengths) if self._max_rows else ()

    def prepare_slot(self, slot: int, source: int, length: int) -> None:
        """As the model's; of a source that is not kept so far, less or nothing is."""
        length = min(length, self._lengths[source])
        if slot == source:
            self._lengths[slot] = length
        elif not length:
            self._forget(slot)
        else:
            copied = self._rows[source][:length]
            self._forget(slot)
            self._put(slot, 0, copied)
        if not length:
            self._forget(slot)

    def add(self, slots: Int32Array, positions: Int32Array, hidden: Float32Array) -> None:
        """The rows of a step, [T, E]. Those that do not follow what is kept of their slot are not kept."""
        if not self._max_rows:
            return
        for first, end in _runs(slots):
            slot, position = int(slots[first]), int(positions[first])
            if position <= self._lengths[slot]:
                self._put(slot, position, hidden[first:end])

    def take(self, slots: Int32Array, positions: Int32Array) -> Float32Array:
        """The rows [T, E] of a step that was computed before. LookupError if one of them is not kept."""
        found = np.empty((len(slots), self._width), np.float32)
        for first, end in _runs(slots):
            slot, position = int(slots[first]), int(positions[first])
            if position + end - first > self._lengths[slot]:
                raise LookupError(f"hidden rows: of slot {slot} {self._lengths[slot]} are kept, not {position} on")
            found[first:end] = self._rows[slot][position : position + end - first]
        return found

    def _put(self, slot: int, position: int, rows: Float32Array) -> None:
        end = position + len(rows)
        held = self._rows.pop(slot, None)
        if held is None or len(held) < end:
            room = np.empty((self._room(end), self._width), np.float32)
            if held is not None:
                room[:position] = held[:position]
            held = room
            self._make_way(len(room))
        if len(held) > self._max_rows:
            self._lengths[slot] = 0
            return
        held[position:end] = rows
        self._rows[slot], self._lengths[slot] = held, end  # the newest, now

    def _make_way(self, num_rows: int) -> None:
        """Forget others, those without a new row for longest first, until there is so much room or none is left."""
        while self._rows and sum(map(len, self._rows.values())) + num_rows > self._max_rows:
            self._forget(next(iter(self._rows)))

    def _room(self, num_rows: int) -> int:
        """Twice what there was, so that a row costs its own copy and one more."""
        room = LEAST_ROWS
        while room < num_rows:
            room *= 2
        return min(room, self._context_length)

    def _forget(self, slot: int) -> None:
        self._rows.pop(slot, None)
        self._lengths[slot] = 0


def _runs(slots: Int32Array) -> list[tuple[int, int]]:
    """[first, end) of the rows of each slot, which are consecutive."""
    bounds = [0, *(np.flatnonzero(np.diff(slots)) + 1).tolist(), len(slots)]
    return list(pairwise(bounds)) if len(slots) else []
