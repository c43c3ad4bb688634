"""Points: milliseconds of a step against its rows, as measured, and what lies between and beyond them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

Points = Sequence[tuple[int, float]]  # (rows, milliseconds), ascending


def step_ms(points: Points, num_rows: int) -> float:
    """Between what was measured on a straight line, and beyond it along the last slope."""
    more_rows = num_rows - points[-1][0]
    return between(points, num_rows) + (more_rows * slope(points) if more_rows > 0 else 0.0)


def between(points: Points, num_rows: int) -> float:
    """On straight lines between the points, level before the first and beyond the last."""
    for (rows, low_ms), (more_rows, high_ms) in pairwise(points):
        if num_rows < more_rows:
            return low_ms + (high_ms - low_ms) * max(0, num_rows - rows) / (more_rows - rows)
    return points[-1][1]


def slope(points: Points) -> float:
    """Milliseconds for one row more where there are many: over the upper half of what was measured; above zero."""
    last_rows, last_ms = points[-1]
    rows, middle_ms = min(points, key=lambda point: abs(point[0] - last_rows / 2))
    rise_ms = (last_ms - middle_ms) / (last_rows - rows) if rows < last_rows else 0.0
    return max(rise_ms, last_ms / last_rows / 10, 1e-6)


def empty_ms(points: Points) -> float:
    """A step without rows, as the line through those that have some says."""
    last_rows, last_ms = points[-1]
    return max(0.0, last_ms - last_rows * slope(points))
