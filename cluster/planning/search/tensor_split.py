"""From shares of the layers to cuts: what ``--tensor-split`` means."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from cluster.api.errors import UsageError
from cluster.planning.search.cut_search import Range, best_cuts

UNITS_PER_LAYER = 10**6


def cuts_by_fraction(num_layers: int, legal_cuts: Sequence[int], shares: Sequence[float]) -> tuple[Range, ...]:
    """[first, end) of each stage: the legal cuts that are nearest to where the shares end.

    The furthest of them is as near as can be, then all together. UsageError if there are too few legal cuts.
    """
    ends = [num_layers * so_far / sum(shares) for so_far in accumulate(shares)]
    cuts = [0, *sorted(set(legal_cuts) & set(range(1, num_layers))), num_layers]
    found = best_cuts(
        len(shares),
        cuts,
        lambda stage, _first, end: round(UNITS_PER_LAYER * abs(end - ends[stage])),
        lambda stage, first, end: True,
    )
    if found is None:
        raise UsageError(
            f"tensor-split: {len(shares)} stages, but this model can be cut at {len(cuts) - 2} places; "
            f"give at most {len(cuts) - 1} shares"
        )
    return tuple(found)
