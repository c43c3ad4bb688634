"""Which sequences share a microbatch. A pure decision."""

from __future__ import annotations

from cluster.engine.sequence import Sequence


def of_first(ready: list[Sequence]) -> list[Sequence]:
    """Those that the longest idle sequence (the first) can share a microbatch with: it has one set of scales."""
    scales = ready[0].scales if ready else ()
    return [sequence for sequence in ready if sequence.scales == scales]


def choose_neighbours(ready: list[Sequence], num_chosen: int) -> list[Sequence]:
    """The longest idle sequence (the first) and those of `num_chosen` in all whose slots lie closest together.

    A stage computes neighbouring slots in one pass over its weights, and others in one pass each.
    """
    if num_chosen >= len(ready):
        return ready
    rank = {sequence.request_id: index for index, sequence in enumerate(ready)}
    by_slot = sorted(ready, key=lambda sequence: sequence.held_slot)
    first = by_slot.index(ready[0])
    starts = range(max(0, first - num_chosen + 1), min(first, len(ready) - num_chosen) + 1)
    groups = [by_slot[start : start + num_chosen] for start in starts]

    def spread(group: list[Sequence]) -> tuple[int, int]:
        """Slots that it spans; among equals, the longer idle ones go first."""
        return group[-1].held_slot - group[0].held_slot, sum(rank[sequence.request_id] for sequence in group)

    closest: list[Sequence] = min(groups, key=spread)
    return sorted(closest, key=lambda sequence: rank[sequence.request_id])
