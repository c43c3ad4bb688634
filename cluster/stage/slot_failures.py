"""Slots that a stage can do nothing for: each ends one request, and the step goes on without its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cluster.api.errors import ClusterError, UsageError
from cluster.messages.step import Float32Array, Int32Array, Microbatch, SlotFailure, SlotStart
from worker_native import Slice

# What the native side raises of one slot. MemoryError is not among them: that is the whole stage's.
_NATIVE_ERRORS = (ValueError, TypeError, OverflowError, RuntimeError)


_Number = TypeVar("_Number", bound=np.generic)

#: (slot, source, length): lets the slot hold the first `length` tokens that `source` holds.
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
        except _NATIVE_ERRORS as error:
            self.add(slot, error)

    def add(self, slot: int, error: Exception | str) -> None:
        kind = UsageError if isinstance(error, ValueError) else ClusterError
        reason = " ".join(str(error).split()) or type(error).__name__
        self._by_slot.setdefault(slot, SlotFailure(slot, kind.__name__, f"stage {self._stage}: {reason}"))


class StepRows:
    """Which rows of a microbatch were computed: all of them (None), or those of the slots that had not failed."""

    def __init__(self, computed: Int32Array | None) -> None:
        self._computed = computed
        self._index = None if computed is None else {row: index for index, row in enumerate(computed.tolist())}

    def of(self, values: NDArray[_Number]) -> NDArray[_Number]:
        """The values of the computed rows, of one for each row of the microbatch."""
        return values if self._computed is None else values[self._computed]

    def computed(self, rows: list[int]) -> list[int]:
        """Those of `rows` that were computed."""
        return rows if self._index is None else [row for row in rows if row in self._index]

    def indices(self, rows: list[int]) -> list[int]:
        """Where the computed ones of `rows` are among all that were computed."""
        return rows if self._index is None else [self._index[row] for row in rows if row in self._index]

    def logits(self, part: Slice, rows: list[int]) -> Float32Array | None:
        """[R, V] logits of `rows`, zeros for those that were not computed; None of no rows."""
        if not rows:
            return None
        found: Float32Array = part.logits(self.indices(rows))
        if self._index is None:
            return found
        spread = np.zeros((len(rows), part.vocab_size), np.float32)
        spread[[row in self._index for row in rows]] = found
        return spread


def forward(
    part: Slice, batch: Microbatch, hidden: Float32Array | None, failures: SlotFailures
) -> tuple[StepRows, Float32Array | None]:
    """Compute the rows of all slots that have not failed, and find those that do. Which, and their hidden rows [T, E].

    The native side checks all rows before it computes any: only when it refuses them is each slot looked at.
    """
    if not failures:
        try:
            return StepRows(None), part.forward(batch.tokens, batch.positions, batch.slots, batch.wants_logits, hidden)
        except ValueError:
            _find_faulty(part, batch, failures)
            if not failures:
                raise
    else:
        _find_faulty(part, batch, failures)
    return _forward_sound(part, batch, hidden, failures)


def _find_faulty(part: Slice, batch: Microbatch, failures: SlotFailures) -> None:
    for slot in sorted(set(batch.slots.tolist())):
        of_slot = batch.slots == slot
        rows = (batch.tokens, batch.positions, batch.slots, batch.wants_logits)
        failures.guard(slot, part.check_microbatch, *(values[of_slot] for values in rows))


def _forward_sound(
    part: Slice, batch: Microbatch, hidden: Float32Array | None, failures: SlotFailures
) -> tuple[StepRows, Float32Array | None]:
    sound = np.array([row for row, slot in enumerate(batch.slots.tolist()) if slot not in failures], np.int32)
    out = None if part.is_last else np.zeros((batch.num_rows, part.hidden_width), np.float32)
    if len(sound):
        found = part.forward(
            batch.tokens[sound],
            batch.positions[sound],
            batch.slots[sound],
            batch.wants_logits[sound],
            None if hidden is None else hidden[sound],
        )
        if out is not None:
            out[sound] = found
    return StepRows(sound), out
