"""Prefix reuse: from which slot's tokens a prompt may start. Pure decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cluster.messages import SlotStart

# A shorter one saves less than a copy and the odd choice of a slot cost. It is also how far two prompts are
# compared token by token before the rest is compared as a whole.
MIN_SHARED_TOKENS = 16


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
) -> SlotStart:
    """The slot for a new sequence, and what it starts with.

    Args:
        prompt: its tokens.
        num_reusable: at most so many of them need not be computed.
        free: at least one slot, longest unused first, with the tokens whose KV it holds.
        running: slots in use, with the tokens whose rows the stages hold or will hold before ours run.

    The slot that shares most is taken over if most of what it holds is ours; otherwise that stays for the next
    one who asks for it, and a copy goes to another slot.
    """
    shared = {slot: shared_length(prompt, tokens) for slot, tokens in (*running.items(), *free.items())}
    source = max(shared, key=lambda slot: (shared[slot], slot in free))
    length = min(shared[source], num_reusable)
    if length < MIN_SHARED_TOKENS:
        slot = _least_useful(free)
        return SlotStart(slot, slot, 0)
    others = {slot: tokens for slot, tokens in free.items() if slot != source}
    if source in free and (not others or len(free[source]) - length <= length // 4):
        return SlotStart(source, source, length)
    return SlotStart(_least_useful(others), source, length)


def _least_useful(free: Mapping[int, Sequence[int]]) -> int:
    """The lowest empty slot, so that slots in use lie together; else the one unused for longest."""
    empty = [slot for slot, tokens in free.items() if not tokens]
    return min(empty) if empty else next(iter(free))
