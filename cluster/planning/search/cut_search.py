"""The exact search over legal cuts: a dynamic programme over (stage, end of the stages so far)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Range = tuple[int, int]  # layers [first, end)
Cost = tuple[int, ...]  # compared in order
StageCost = Callable[[int, int, int], int]  # (stage, first, end) -> time in whole units
StageFits = Callable[[int, int, int], bool]


def best_cuts(num_stages: int, cuts: Sequence[int], cost: StageCost, fits: StageFits) -> list[Range] | None:
    """[first, end) of each stage: the least slowest stage, then the least sum, then the most even; None if none fits.

    `cuts` is ascending, with 0 and the number of layers. Costs are whole numbers, so that equal sums are equal.
    Two passes over the same table: one for both would not be exact, since a prefix need not be better than the
    slowest stage of all.
    """
    slowest = _table(num_stages, cuts, cost, fits, math.inf, lambda so_far, load: (max(so_far[0], load),), (0,))
    if slowest is None:
        return None
    found = _table(
        num_stages,
        cuts,
        cost,
        fits,
        slowest[0][0],
        lambda so_far, load: (so_far[0] + load, so_far[1] + load * load),
        (0, 0),
    )
    assert found is not None
    return found[1]


def _table(
    num_stages: int,
    cuts: Sequence[int],
    cost: StageCost,
    fits: StageFits,
    bound: float,
    join: Callable[[Cost, int], Cost],
    start: Cost,
) -> tuple[Cost, list[Range]] | None:
    best: dict[int, tuple[Cost, list[Range]]] = {0: (start, [])}  # index into cuts, where the stages so far end
    for stage in range(num_stages):
        following: dict[int, tuple[Cost, list[Range]]] = {}
        for index, (so_far, ranges) in best.items():
            for end in range(index + 1, len(cuts)):
                load = cost(stage, cuts[index], cuts[end])
                if load > bound or not fits(stage, cuts[index], cuts[end]):
                    continue
                joined = join(so_far, load)
                if end not in following or joined < following[end][0]:
                    following[end] = (joined, [*ranges, (cuts[index], cuts[end])])
        best = following
    return best.get(len(cuts) - 1)
