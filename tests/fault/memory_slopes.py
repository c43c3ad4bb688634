"""How memory grows in processes that are killed and started anew: by least squares between their kills. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MB = 1e6


@dataclass(frozen=True)
class Sample:
    """What a process held at a time."""

    kind: str
    pid: int
    at_s: float
    rss_bytes: int


def slopes(samples: Iterable[Sample], warm_s: float) -> dict[str, float | None]:
    """MB per minute of each kind; None where no process of it lived long enough.

    Each process has a level of its own, and its first `warm_s` are left out: what is read or allocated for the first
    time is no growth.
    """
    lives: dict[str, dict[int, list[Sample]]] = {}
    for sample in samples:
        lives.setdefault(sample.kind, {}).setdefault(sample.pid, []).append(sample)
    return {kind: _slope([_warm(life, warm_s) for life in found.values()]) for kind, found in lives.items()}


def _warm(life: Sequence[Sample], warm_s: float) -> list[Sample]:
    return [sample for sample in life if sample.at_s >= life[0].at_s + warm_s]


def _slope(lives: Sequence[Sequence[Sample]]) -> float | None:
    """One line's slope through all of them, each moved to its own mean."""
    common, scatter = 0.0, 0.0
    for life in lives:
        if len(life) < 2:
            continue
        mean_s, mean_bytes = (statistics.fmean(values) for values in _columns(life))
        common += math.fsum((sample.at_s - mean_s) * (sample.rss_bytes - mean_bytes) for sample in life)
        scatter += math.fsum((sample.at_s - mean_s) ** 2 for sample in life)
    return common / scatter * 60 / MB if scatter else None


def _columns(life: Sequence[Sample]) -> tuple[list[float], list[int]]:
    return [sample.at_s for sample in life], [sample.rss_bytes for sample in life]
