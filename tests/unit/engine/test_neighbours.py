"""Which sequences share a microbatch: the longest idle one, with neighbours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.engine.neighbours import choose_neighbours
from cluster.engine.sequence import Sequence


def ready(slots: list[int]) -> list[Sequence]:
    sequences = [Sequence(slot, (1,), None) for slot in slots]
    for sequence, slot in zip(sequences, slots, strict=True):
        sequence.slot = slot
    return sequences


@pytest.mark.parametrize(
    ("slots", "num_chosen", "expected"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], 4, {0, 1, 2, 3}),
        ([4, 5, 6, 7, 0, 1, 2, 3], 4, {4, 5, 6, 7}),
        ([6, 0, 7, 1, 5], 3, {5, 6, 7}),
        ([3, 9, 1, 2], 2, {2, 3}),
        ([5], 4, {5}),
        ([], 2, set()),
    ],
)
def test_examples(slots: list[int], num_chosen: int, expected: set[int]) -> None:
    assert {sequence.slot for sequence in choose_neighbours(ready(slots), num_chosen)} == expected


@given(st.lists(st.integers(0, 40), unique=True, min_size=1), st.integers(1, 12))
def test_the_longest_idle_is_chosen_and_nobody_lies_between(slots: list[int], num_chosen: int) -> None:
    sequences = ready(slots)
    chosen = choose_neighbours(sequences, num_chosen)
    assert len(chosen) == min(num_chosen, len(slots))
    assert sequences[0] in chosen
    taken = {sequence.slot for sequence in chosen}
    between = {slot for slot in slots if min(taken) <= slot <= max(taken)}
    assert between == taken
    ranks = [sequences.index(sequence) for sequence in chosen]
    assert ranks == sorted(ranks)
