"""RowCost: what a row of a prompt takes on one stage, learned from the steps that it ran."""

from __future__ import annotations

from cluster.engine.cost.tuning import MIN_POSITION_SPREAD, ROW_COST_MEMORY


class RowCost:
    """A line through what was seen: milliseconds per row against the position of the row.

    Attention grows with the position, all else does not. Recent steps count more, long ones as much as short
    ones.
    """

    def __init__(self) -> None:
        # Sums of what was added: weights, positions, milliseconds, squares of positions, positions times milliseconds.
        self._sums = (0.0, 0.0, 0.0, 0.0, 0.0)

    @property
    def is_known(self) -> bool:
        return self._sums[0] > 0

    def add(self, position: float, ms_per_row: float) -> None:
        """A step whose rows were at `position` on average."""
        weight, positions, times_ms, squares, products = (ROW_COST_MEMORY * past for past in self._sums)
        self._sums = (
            weight + 1.0,
            positions + position,
            times_ms + ms_per_row,
            squares + position * position,
            products + position * ms_per_row,
        )

    def at(self, position: float) -> float:
        """Milliseconds of a row at `position`; never less at a later one. Something must have been added."""
        weight, positions, times_ms, squares, products = self._sums
        mean_position, mean_ms = positions / weight, times_ms / weight
        spread = squares / weight - mean_position**2
        if spread < MIN_POSITION_SPREAD:
            return mean_ms
        slope = max(0.0, (products / weight - mean_position * mean_ms) / spread)
        return max(mean_ms + slope * (position - mean_position), mean_ms / 10)
