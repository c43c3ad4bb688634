"""Slots: which KV sequence ids are free, and which ones the stages have yet to be told to drop."""

from __future__ import annotations

import heapq


class Slots:
    """Hands out the slots [0, num_slots), lowest first, so that graphs over few slots repeat.

    A released slot may be handed out again at once: the stages read microbatches in order and drop the freed
    slots of a microbatch before they run its rows. The owner puts `take_freed()` on the very next microbatch.
    """

    def __init__(self, num_slots: int) -> None:
        self._num_slots = num_slots
        self._free = list(range(num_slots))
        self._used: set[int] = set()
        self._freed: set[int] = set()  # hold KV of an ended sequence; not announced yet

    @property
    def num_free(self) -> int:
        return len(self._free)

    @property
    def num_used(self) -> int:
        return len(self._used)

    @property
    def num_freed(self) -> int:
        """Slots that the next microbatch has to announce."""
        return len(self._freed)

    def allocate(self) -> int:
        """The lowest free slot; there must be one."""
        assert self._free, "allocate: no slot is free"
        slot = heapq.heappop(self._free)
        self._used.add(slot)
        self._check()
        return slot

    def release(self, slot: int, *, holds_rows: bool) -> None:
        """Takes a slot back. `holds_rows`: rows of its sequence were sent, so the stages must drop them."""
        assert slot in self._used, f"release: slot {slot} is not in use"
        self._used.remove(slot)
        heapq.heappush(self._free, slot)
        if holds_rows:
            self._freed.add(slot)
        self._check()

    def take_freed(self) -> tuple[int, ...]:
        """Slots to announce in the microbatch that is sent now, ascending; each is returned exactly once."""
        freed = tuple(sorted(self._freed))
        self._freed.clear()
        return freed

    def clear(self) -> None:
        """All slots are free and empty, and nothing is announced: the stages start anew."""
        self._free = list(range(self._num_slots))
        self._used.clear()
        self._freed.clear()

    def _check(self) -> None:
        assert len(self._free) + len(self._used) == self._num_slots, "slots: one is lost or there twice"
        assert self._used.isdisjoint(self._free), "slots: one is free and in use"
