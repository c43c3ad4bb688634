"""The exact search over legal cuts: a dynamic programme over (stage, end of the stages so far)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import add

Range = tuple[int, int]  # layers [first, end)
Cost = tuple[int, ...]  # compared in order
StageCost = Callable[[int, int, int], int]  # (stage, first, end) -> time in whole units
StageFits = Callable[[int, int, int], bool]
StageMoves = Callable[[int, int, int], Cost]  # (stage, first, end) -> what it has to get, compared in order


def best_cuts(num_stages: int, cuts: Sequence[int], cost: StageCost, fits: StageFits) -> list[Range] | None:
    """[first, end) of each stage: the least slowest stage, then the least sum, then the most even; None if none fits.

    `cuts` is ascending, with 0 and the number of layers. Costs are whole numbers, so that equal sums are equal.
    Two passes over the same table: one for both would not be exact, since a prefix need not be better than the
    slowest stage of all.
    """
    slowest = _table(num_stages, cuts, cost, fits, math.inf, lambda *stage: (cost(*stage),), max)
    if slowest is None:
        return None

    def weigh(stage: int, first: int, end: int) -> Cost:
        load = cost(stage, first, end)
        return load, load * load

    found = _table(num_stages, cuts, cost, fits, slowest[0][0], weigh, _sum)
    assert found is not None
    return found[1]


def fewest_moves(
    num_stages: int, cuts: Sequence[int], cost: StageCost, fits: StageFits, moves: StageMoves, slack: float
) -> list[Range] | None:
    """The same, of all cuts whose slowest stage takes up to `1 + slack` times the least: those that move the least.

    `moves` are added up over the stages. Where several move as little, they are compared as above.
    """
    best = best_cuts(num_stages, cuts, cost, fits)
    if best is None:
        return None
    slowest = max(cost(stage, *cut) for stage, cut in enumerate(best))

    def weigh(stage: int, first: int, end: int) -> Cost:
        load = cost(stage, first, end)
        return (*moves(stage, first, end), load, load * load)

    found = _table(num_stages, cuts, cost, fits, slowest + int(slowest * slack), weigh, _sum)
    assert found is not None, "the best cuts are within the bound"
    return found[1]


def _table(
    num_stages: int,
    cuts: Sequence[int],
    cost: StageCost,
    fits: StageFits,
    bound: float,
    weigh: Callable[[int, int, int], Cost],
    join: Callable[[Cost, Cost], Cost],
) -> tuple[Cost, list[Range]] | None:
    """The cuts of the least weight, of those where no stage costs more than `bound`. `join` is monotonic."""
    best: dict[int, tuple[Cost, list[Range]]] = {0: ((), [])}  # index into cuts, where the stages so far end
    for stage in range(num_stages):
        following: dict[int, tuple[Cost, list[Range]]] = {}
        for index, (so_far, ranges) in best.items():
            for end in range(index + 1, len(cuts)):
                here = stage, cuts[index], cuts[end]
                if cost(*here) > bound or not fits(*here):
                    continue
                joined = join(so_far, weigh(*here)) if ranges else weigh(*here)
                if end not in following or joined < following[end][0]:
                    following[end] = (joined, [*ranges, (cuts[index], cuts[end])])
        best = following
    return best.get(len(cuts) - 1)


def _sum(so_far: Cost, more: Cost) -> Cost:
    return tuple(map(add, so_far, more))
