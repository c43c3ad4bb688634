"""Slots: none is lost, what a slot holds is remembered, and the next user finds it."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cluster.engine.slots import Slots
from cluster.messages.step import SlotStart

_NUM_SLOTS = 4


class SlotsMachine(RuleBasedStateMachine):
    """Compares Slots with plain sets."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = Slots(_NUM_SLOTS)
        self.used: set[int] = set()
        self.held: dict[int, list[int]] = {}

    @precondition(lambda self: len(self.used) < _NUM_SLOTS)
    @rule(family=st.integers(0, 2), length=st.integers(1, 60))
    def allocate(self, family: int, length: int) -> None:
        prompt = [family] * length
        start = self.slots.allocate(prompt, length - 1, {})
        assert start.slot not in self.used
        assert start.length < length
        assert self.held.get(start.source, [])[: start.length] == prompt[: start.length]
        self.used.add(start.slot)
        self.held.pop(start.slot, None)

    @precondition(lambda self: self.used)
    @rule(data=st.data(), family=st.integers(0, 2), length=st.integers(0, 60))
    def release(self, data: st.DataObject, family: int, length: int) -> None:
        slot = data.draw(st.sampled_from(sorted(self.used)))
        self.slots.release(slot, [family] * length)
        self.used.remove(slot)
        self.held[slot] = [family] * length

    @rule()
    def clear(self) -> None:
        self.slots.clear()
        self.used.clear()
        self.held.clear()

    @invariant()
    def counts_agree(self) -> None:
        assert self.slots.num_used == len(self.used)
        assert self.slots.num_free == _NUM_SLOTS - len(self.used)


TestSlots = SlotsMachine.TestCase


def test_a_slot_that_is_not_in_use_cannot_be_released() -> None:
    slots = Slots(2)
    with pytest.raises(AssertionError, match="slot 1 is not in use"):
        slots.release(1, [])


def test_empty_slots_are_taken_from_below_then_those_unused_for_longest() -> None:
    slots = Slots(3)
    assert [slots.allocate([token], 0, {}).slot for token in range(3)] == [0, 1, 2]
    for slot in (2, 0, 1):
        slots.release(slot, [slot])
    assert [slots.allocate([token], 0, {}).slot for token in range(3)] == [2, 0, 1]


def test_slots_in_use_lie_together_though_others_are_unused_for_longer() -> None:
    slots = Slots(16)
    assert [slots.allocate([slot], 0, {}).slot for slot in range(16)] == list(range(16))
    for slot in (12, *range(12), 13, 14, 15):
        slots.release(slot, [slot])
    used = [slots.allocate([100 + token], 0, {}).slot for token in range(8)]
    assert sorted(used) == list(range(min(used), min(used) + 8))


@pytest.mark.parametrize(
    ("free", "running", "expected"),
    [
        ({0: [], 1: [1] * 36}, {}, SlotStart(1, 1, 29)),  # taken over: most of it is ours
        ({0: [], 1: [1] * 90}, {}, SlotStart(0, 1, 29)),  # kept for others
        ({1: [1] * 90}, {}, SlotStart(1, 1, 29)),  # no other slot
        ({0: [], 1: [1] * 15}, {}, SlotStart(0, 0, 0)),  # too little
        ({0: [2] * 40, 1: [1] * 20}, {3: [1] * 30}, SlotStart(0, 3, 29)),  # from one that runs
        ({0: [2] * 40, 1: [1] * 30}, {5: [1] * 30}, SlotStart(1, 1, 29)),  # no copy if none is needed
    ],
)
def test_a_prompt_starts_from_what_shares_most(
    free: dict[int, list[int]], running: dict[int, list[int]], expected: SlotStart
) -> None:
    slots = Slots(6)
    for _ in range(6):
        slots.allocate([9], 0, {})
    for slot, tokens in free.items():
        slots.release(slot, tokens)
    assert slots.allocate([1] * 30, 29, running) == expected
