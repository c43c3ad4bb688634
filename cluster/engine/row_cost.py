"""RowCost: what a row of a prompt takes on one stage, learned from the steps that it ran."""

from __future__ import annotations

_MEMORY = 0.95  # weight of the past when a step is added
_MIN_SPREAD = 1e3  # of positions squared; below it their effect cannot be told from noise


class RowCost:
    """A line through what was seen: milliseconds per row against the position of the row.

    Attention grows with the position, all else does not. Recent steps count more, long ones as much as short
    ones.
    """

    def __init__(self) -> None:
        self._weight = self._position = self._ms = self._position_squared = self._product = 0.0

    @property
    def is_known(self) -> bool:
        return self._weight > 0

    def add(self, position: float, ms_per_row: float) -> None:
        """A step whose rows were at `position` on average."""
        for name, value in (
            ("_weight", 1.0),
            ("_position", position),
            ("_ms", ms_per_row),
            ("_position_squared", position * position),
            ("_product", position * ms_per_row),
        ):
            setattr(self, name, _MEMORY * getattr(self, name) + value)

    def at(self, position: float) -> float:
        """Milliseconds of a row at `position`; never less at a later one. Something must have been added."""
        mean_position, mean_ms = self._position / self._weight, self._ms / self._weight
        spread = self._position_squared / self._weight - mean_position**2
        if spread < _MIN_SPREAD:
            return mean_ms
        slope = max(0.0, (self._product / self._weight - mean_position * mean_ms) / spread)
        return max(mean_ms + slope * (position - mean_position), mean_ms / 10)
