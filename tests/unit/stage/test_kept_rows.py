"""Hidden rows that are kept: what comes back is what was passed on, and there is a bound."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.messages.step import Float32Array, Int32Array
from cluster.stage.kept_rows import LEAST_ROWS, KeptRows

WIDTH, NUM_SLOTS, CONTEXT = 3, 4, 300
PLENTY = 1 << 30


def int32(*values: int) -> Int32Array:
    return np.array(values, np.int32)


def rows_of(slot: int, first: int, end: int, salt: float = 0.0) -> Float32Array:
    return np.array([[slot, at, salt] for at in range(first, end)], np.float32)


def add(kept: KeptRows, slot: int, first: int, end: int, salt: float = 0.0) -> None:
    count = end - first
    kept.add(np.full(count, slot, np.int32), np.arange(first, end, dtype=np.int32), rows_of(slot, first, end, salt))


def take(kept: KeptRows, slot: int, first: int, end: int) -> Float32Array:
    return kept.take(np.full(end - first, slot, np.int32), np.arange(first, end, dtype=np.int32))


def test_rows_of_several_slots_come_back() -> None:
    kept = KeptRows(PLENTY, WIDTH, NUM_SLOTS, CONTEXT)
    slots, positions = int32(0, 0, 2, 3), int32(0, 1, 0, 0)
    kept.add(slots, positions, np.concatenate([rows_of(0, 0, 2), rows_of(2, 0, 1), rows_of(3, 0, 1)]))
    kept.add(int32(0, 2), int32(2, 1), np.concatenate([rows_of(0, 2, 3), rows_of(2, 1, 2)]))
    assert kept.lengths == (3, 0, 2, 1)
    found = kept.take(int32(0, 0, 2), int32(1, 2, 0))
    assert np.array_equal(found, np.concatenate([rows_of(0, 1, 3), rows_of(2, 0, 1)]))
    with pytest.raises(LookupError, match="of slot 3 1 are kept, not 1 on"):
        take(kept, 3, 1, 2)


def test_rows_that_follow_nothing_are_not_kept() -> None:
    kept = KeptRows(PLENTY, WIDTH, NUM_SLOTS, CONTEXT)
    add(kept, 1, 2, 4)
    assert kept.lengths == (0, 0, 0, 0)
    add(kept, 1, 0, 5)
    add(kept, 1, 3, 4, salt=7.0)  # what was behind it was a guess
    assert kept.lengths[1] == 4
    assert np.array_equal(take(kept, 1, 0, 4), np.concatenate([rows_of(1, 0, 3), rows_of(1, 3, 4, 7.0)]))


def test_slots_start_from_others() -> None:
    kept = KeptRows(PLENTY, WIDTH, NUM_SLOTS, CONTEXT)
    add(kept, 0, 0, 100)
    add(kept, 1, 0, 5)
    kept.prepare_slot(1, 0, 80)
    kept.prepare_slot(0, 0, 10)
    assert kept.lengths == (10, 80, 0, 0)
    assert np.array_equal(take(kept, 1, 0, 80), rows_of(0, 0, 80))
    add(kept, 1, 80, 81)
    assert np.array_equal(take(kept, 0, 0, 10), rows_of(0, 0, 10)), "a copy is a copy"
    kept.prepare_slot(2, 3, 40)  # of a slot of which nothing is kept
    kept.prepare_slot(1, 1, 0)
    assert kept.lengths == (10, 0, 0, 0)


def test_the_one_without_a_new_row_for_longest_is_forgotten() -> None:
    kept = KeptRows(2 * LEAST_ROWS * WIDTH * 4, WIDTH, NUM_SLOTS, CONTEXT)
    add(kept, 0, 0, 10)
    add(kept, 1, 0, 10)
    add(kept, 0, 10, 11)
    add(kept, 2, 0, 10)
    assert kept.lengths == (11, 0, 10, 0)
    add(kept, 1, 10, 11)  # it begins anew from its first row, or not at all
    assert kept.lengths == (11, 0, 10, 0)
    add(kept, 2, 10, LEAST_ROWS + 1)  # takes all that there is
    assert kept.lengths == (0, 0, LEAST_ROWS + 1, 0)
    add(kept, 2, LEAST_ROWS + 1, 3 * LEAST_ROWS)  # and then more than that
    assert kept.lengths == (0, 0, 0, 0)


def test_without_memory_nothing_is_kept() -> None:
    kept = KeptRows(0, WIDTH, NUM_SLOTS, CONTEXT)
    add(kept, 0, 0, 10)
    kept.prepare_slot(1, 0, 5)
    assert kept.lengths == ()


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.sampled_from([PLENTY, 3 * LEAST_ROWS * WIDTH * 4]))
def test_what_is_kept_is_what_was_passed_on(seed: int, max_bytes: int) -> None:
    """Against lists, through whatever may happen to slots."""
    draw = random.Random(seed)
    kept = KeptRows(max_bytes, WIDTH, NUM_SLOTS, CONTEXT)
    passed: list[list[list[float]]] = [[] for _ in range(NUM_SLOTS)]
    for step in range(60):
        slot = draw.randrange(NUM_SLOTS)
        if draw.random() < 0.25:
            source = draw.choice((slot, draw.randrange(NUM_SLOTS)))
            length = draw.choice((0, draw.randint(0, len(passed[source]))))
            kept.prepare_slot(slot, source, length)
            passed[slot] = passed[source][:length]
        else:
            first = len(passed[slot])
            end = min(CONTEXT, first + draw.choice((1, 1, 5, 70)))
            rows = rows_of(slot, first, end, float(step))
            kept.add(np.full(end - first, slot, np.int32), np.arange(first, end, dtype=np.int32), rows)
            passed[slot] = passed[slot] + rows.tolist()
        for other, length in enumerate(kept.lengths):
            assert length in (0, len(passed[other])) or max_bytes != PLENTY
            assert take(kept, other, 0, length).tolist() == passed[other][:length]
        if max_bytes == PLENTY:
            assert list(kept.lengths) == list(map(len, passed))
