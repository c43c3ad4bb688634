"""Prefix reuse: from which slot's tokens a prompt may start. Pure decisions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise

from cluster.engine.cost.tuning import MAX_GAP, MIN_SHARED_TOKENS, ROWS_STEP
from cluster.messages.step import SlotStart


def shared_length(ours: Sequence[int], theirs: Sequence[int]) -> int:
    """How many leading tokens two sequences have in common; 0 if that is not worth reusing."""
    length = min(len(ours), len(theirs))
    if length < MIN_SHARED_TOKENS or ours[:MIN_SHARED_TOKENS] != theirs[:MIN_SHARED_TOKENS]:
        return 0
    low, high = MIN_SHARED_TOKENS, length  # slices are compared in C, so halving beats a loop
    while low < high:
        middle = (low + high + 1) // 2
        if ours[low:middle] == theirs[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def choose_start(
    prompt: Sequence[int],
    num_reusable: int,
    free: Mapping[int, Sequence[int]],
    running: Mapping[int, Sequence[int]],
    used: Collection[int],
    foreign: Collection[int] = (),
    last_cut: Callable[[int], int] = lambda length: length,
) -> SlotStart:
    """The slot for a new sequence, and what it starts with.

    Args:
        prompt: its tokens.
        num_reusable: at most so many of them need not be computed.
        free: at least one slot, longest unused first (empty ones in order), with the tokens whose KV it holds.
        running: slots with the tokens whose rows the stages hold or will hold before ours run.
        used: all slots that are not free.
        foreign: slots of which nothing can be reused, whatever tokens they hold.
        last_cut: the most of the first so many tokens that a slot can go back to.

    The slot that shares most is taken over if most of what it holds is ours; otherwise that stays for the next
    one who asks for it, and a copy goes to another slot.
    """
    known = (*running.items(), *free.items())
    shared = {slot: 0 if slot in foreign else shared_length(prompt, tokens) for slot, tokens in known}
    source = max(shared, key=lambda slot: (shared[slot], slot in free))
    length = last_cut(min(shared[source], num_reusable))
    if length < MIN_SHARED_TOKENS:
        slot = _best_place(free, used)
        return SlotStart(slot, slot, 0)
    others = {slot: tokens for slot, tokens in free.items() if slot != source}
    if source in free and (not others or len(free[source]) - length <= length // 4):
        return SlotStart(source, source, length)
    return SlotStart(_best_place(others, used), source, length)


def _best_place(free: Mapping[int, Sequence[int]], used: Collection[int]) -> int:
    """Where the slots in use are computed in fewest calls and rows; among such an empty one, or the longest unused."""

    def cost(slot: int) -> tuple[int, int, bool]:
        together = sorted((*used, slot))
        gaps = [after - before - 1 for before, after in pairwise(together)]
        num_rows = len(together) + sum(gap for gap in gaps if gap <= MAX_GAP)
        return sum(gap > MAX_GAP for gap in gaps), -(-num_rows // ROWS_STEP), bool(free[slot])

    return min(free, key=cost)
