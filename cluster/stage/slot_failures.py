"""Slots that a stage can do nothing for: each ends one request, and the step goes on without its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cluster.api.errors import ClusterError, UsageError
from cluster.messages.step import SlotFailure, SlotStart
from cluster.stage.model import SLOT_ERRORS

# (slot, source, length): lets the slot hold the first `length` tokens that `source` holds.
PrepareSlot = Callable[[int, int, int], None]


class SlotFailures:
    """The failed slots of one step: their rows are left out. Later rows of theirs do not fit there, and fail too."""

    def __init__(self, prepare_slot: PrepareSlot, stage: int, known: Sequence[SlotFailure]) -> None:
        """`known`: of the stages before, which have not computed those slots."""
        self._prepare_slot = prepare_slot
        self._stage = stage
        self._by_slot = {failure.slot: failure for failure in known}

    def __len__(self) -> int:
        return len(self._by_slot)

    def __contains__(self, slot: int) -> bool:
        return slot in self._by_slot

    @property
    def all(self) -> tuple[SlotFailure, ...]:
        return tuple(self._by_slot.values())

    def start(self, starts: Sequence[SlotStart]) -> None:
        """Let each slot hold what it starts with; one that cannot holds nothing, so that nobody else starts from it."""
        for start in starts:
            self.guard(start.slot, self._prepare_slot, start.slot, start.source, start.length)
            if start.slot in self:
                self._prepare_slot(start.slot, start.slot, 0)

    def guard(self, slot: int, call: Callable[..., object], *args: object) -> None:
        """Call for a slot that has not failed yet; what is raised fails it."""
        if slot in self:
            return
        try:
            call(*args)
        except SLOT_ERRORS as error:
            self.add(slot, error)

    def add(self, slot: int, error: Exception | str) -> None:
        kind = UsageError if isinstance(error, ValueError) else ClusterError
        reason = " ".join(str(error).split()) or type(error).__name__
        self._by_slot.setdefault(slot, SlotFailure(slot, kind.__name__, f"stage {self._stage}: {reason}"))
