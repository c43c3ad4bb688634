"""Spread: how figures that were measured several times lie. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """Figures of a sample, in the unit of its values. `sd` is the sample's (n - 1), 0 for one value."""

    mean: float
    sd: float
    median: float
    p99: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread | None:
    """The spread of `values`; None if there are none."""
    if not values:
        return None
    return Spread(
        mean=statistics.fmean(values),
        sd=statistics.stdev(values) if len(values) > 1 else 0.0,
        median=statistics.median(values),
        p99=percentile(values, 0.99),
        low=min(values),
        high=max(values),
    )


def percentile(values: Sequence[float], fraction: float) -> float:
    """The value below which `fraction` of a sample lies, interpolated linearly between neighbours (as numpy does)."""
    ordered = sorted(values)
    place = fraction * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread | None:
    """Spread of the ratios of runs that were made one right after the other."""
    return spread([one / other for one, other in zip(ours, theirs, strict=True)])


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """How much y grows with x by least squares; 0 where all x are the same."""
    x_mean, y_mean = statistics.fmean(xs), statistics.fmean(ys)
    scatter = math.fsum((x - x_mean) ** 2 for x in xs)
    common = math.fsum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True))
    return common / scatter if scatter else 0.0
