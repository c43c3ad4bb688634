"""Slots: which KV sequence ids are free, and what the stages still hold in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from cluster.engine.prefix import choose_start
from cluster.messages.step import SlotStart


class Slots:
    """Hands out the slots [0, num_slots). A released slot keeps its tokens until it is handed out again.

    A released slot may be handed out at once, even while rows of its last sequence are under way: the stages
    read microbatches in order, and start a slot as its `SlotStart` says before they run the rows.
    """

    def __init__(self, num_slots: int) -> None:
        self._num_slots = num_slots
        self.clear()

    @property
    def num_free(self) -> int:
        return len(self._free)

    @property
    def num_used(self) -> int:
        return len(self._used)

    def allocate(
        self,
        prompt: Sequence[int],
        num_reusable: int,
        running: Mapping[int, Sequence[int]],
        scales: tuple[float, ...] = (),
        last_cut: Callable[[int], int] = lambda length: length,
    ) -> SlotStart:
        """A slot for `prompt`, and what it starts with; see `choose_start`. One must be free.

        `scales`: what the adapters are multiplied by for it; what a slot holds that had others is not reused.
        """
        start = self.choose(prompt, num_reusable, running, scales, last_cut)
        del self._free[start.slot]
        self._used.add(start.slot)
        self._scales[start.slot] = scales
        self._check()
        return start

    def choose(
        self,
        prompt: Sequence[int],
        num_reusable: int,
        running: Mapping[int, Sequence[int]],
        scales: tuple[float, ...] = (),
        last_cut: Callable[[int], int] = lambda length: length,
    ) -> SlotStart:
        """What `allocate` would give now."""
        assert self._free, "allocate: no slot is free"
        foreign = {slot for slot, other in self._scales.items() if other != scales}
        return choose_start(prompt, num_reusable, self._free, running, self._used, foreign, last_cut)

    def release(self, slot: int, tokens: Sequence[int]) -> None:
        """Takes a slot back. `tokens`: those whose rows were sent, so that the stages hold them."""
        assert slot in self._used, f"release: slot {slot} is not in use"
        self._used.remove(slot)
        self._free[slot] = tokens
        self._check()

    def clear(self) -> None:
        """All slots are free and empty."""
        self._free: dict[int, Sequence[int]] = self._all_empty(range(self._num_slots))  # unused longest first
        self._used: set[int] = set()
        self._scales: dict[int, tuple[float, ...]] = {}  # that what a slot holds was computed with

    def forget_free(self) -> None:
        """Of the free slots nothing is to be reused."""
        self._free = self._all_empty(self._free)

    @staticmethod
    def _all_empty(slots: Iterable[int]) -> dict[int, Sequence[int]]:
        return dict.fromkeys(slots, ())

    def _check(self) -> None:
        assert len(self._free) + len(self._used) == self._num_slots, "slots: one is lost or there twice"
        assert self._used.isdisjoint(self._free), "slots: one is free and in use"
