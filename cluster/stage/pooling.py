"""What becomes of the hidden rows of texts that are embedded: a mean for each slot, over all chunks of its prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cluster.messages.step import Float32Array


class Pooler:
    """Sums of the wanted rows of each slot. Which rows are wanted makes it a mean, or one row as it is."""

    def __init__(self) -> None:
        self._sums: dict[int, NDArray[np.float64]] = {}  # by slot, [E]
        self._counts: dict[int, int] = {}

    def prepare_slot(self, slot: int, source: int, length: int) -> None:
        """Forget what the slot had: another text begins there. It has the signature of the model's and sampler's."""
        self._sums.pop(slot, None)
        self._counts.pop(slot, None)

    def add(self, slots: Sequence[int], rows: Float32Array) -> None:
        """Rows [L, E], one of each of `slots`; those of one slot are consecutive."""
        first = 0
        for end in range(1, len(slots) + 1):
            if end < len(slots) and slots[end] == slots[first]:
                continue
            slot, total = slots[first], rows[first:end].sum(axis=0, dtype=np.float64)
            self._sums[slot] = self._sums[slot] + total if slot in self._sums else total
            self._counts[slot] = self._counts.get(slot, 0) + end - first
            first = end

    def take(self, slots: Sequence[int], width: int) -> Float32Array:
        """The means [P, E] of these slots, which start anew; zeros for one without rows, as one that failed."""
        means = np.zeros((len(slots), width), np.float32)
        for place, slot in enumerate(slots):
            if slot in self._sums:
                means[place] = self._sums.pop(slot) / self._counts.pop(slot)
        return means
