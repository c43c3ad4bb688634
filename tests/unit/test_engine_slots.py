"""Slots: none is lost, the lowest comes first, and each freeing is announced once."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cluster.engine.slots import Slots

_NUM_SLOTS = 4


class SlotsMachine(RuleBasedStateMachine):
    """Compares Slots with plain sets."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = Slots(_NUM_SLOTS)
        self.used: set[int] = set()
        self.holding: set[int] = set()  # slots in which the stages have rows of an ended sequence

    @precondition(lambda self: len(self.used) < _NUM_SLOTS)
    @rule()
    def allocate(self) -> None:
        slot = self.slots.allocate()
        assert slot == min(set(range(_NUM_SLOTS)) - self.used)
        self.used.add(slot)

    @precondition(lambda self: self.used)
    @rule(data=st.data(), holds_rows=st.booleans())
    def release(self, data: st.DataObject, holds_rows: bool) -> None:
        slot = data.draw(st.sampled_from(sorted(self.used)))
        self.slots.release(slot, holds_rows=holds_rows)
        self.used.remove(slot)
        if holds_rows:
            self.holding.add(slot)

    @rule()
    def announce(self) -> None:
        assert self.slots.take_freed() == tuple(sorted(self.holding))
        self.holding.clear()

    @rule()
    def clear(self) -> None:
        self.slots.clear()
        self.used.clear()
        self.holding.clear()

    @invariant()
    def counts_agree(self) -> None:
        assert self.slots.num_used == len(self.used)
        assert self.slots.num_free == _NUM_SLOTS - len(self.used)
        assert self.slots.num_freed == len(self.holding)


TestSlots = SlotsMachine.TestCase


def test_a_slot_that_is_not_in_use_cannot_be_released() -> None:
    slots = Slots(2)
    with pytest.raises(AssertionError, match="slot 1 is not in use"):
        slots.release(1, holds_rows=True)
