"""Rows that only fill: in gaps, beside the group, in slots that hold tokens; and what a forward of n rows takes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.native.conftest import ModelFiles, prompt, run
from worker_native import Slice

NUM_SLOTS = 8
Logits = NDArray[np.float32]


@pytest.fixture(params=["whole", "two slices"])
def slices(request: pytest.FixtureRequest, model_file: ModelFiles) -> list[Slice]:
    """Q8_0 weights, one thread: a row's result does not depend on the number of rows, to the last bit."""
    ranges = [None] if request.param == "whole" else [(0, 2), (2, 4)]
    size = {"n_ctx": 512, "n_slots": NUM_SLOTS, "n_batch": 512, "n_ubatch": 512}
    return [Slice(str(model_file("q8_0", layers)), **size) for layers in ranges]


def tokens_of(slot: int, count: int) -> list[int]:
    return [(7 * slot + 3 * i) % 250 + 1 for i in range(count)]


def fill(slices: list[Slice], lengths: dict[int, int]) -> None:
    for slot, length in lengths.items():
        if length:
            run(slices, prompt(tokens_of(slot, length), slot))


def step(slices: list[Slice], slots: list[int]) -> Logits:
    """One row more in each of these slots."""
    return run(slices, [(9, slices[0].slot_length(slot), slot, True) for slot in slots])


def empty(slices: list[Slice]) -> None:
    for part in slices:
        for slot in range(NUM_SLOTS):
            part.prepare_slot(slot, slot, 0)


def steps_alone(slices: list[Slice], lengths: dict[int, int], count: int) -> dict[int, list[bytes]]:
    """For each slot the logits of `count` steps, no other slot in use and no row sizes set."""
    result = {}
    for slot, length in lengths.items():
        fill(slices, {slot: length})
        result[slot] = [step(slices, [slot]).tobytes() for _ in range(count)]
        empty(slices)
    return result


def num_filler_rows(slices: list[Slice]) -> list[float]:
    return [part.timings["filler_rows"] for part in slices]


@pytest.mark.parametrize(
    ("lengths", "slots", "num_fillers"),
    [
        ({0: 4, 1: 6, 2: 5}, [0, 2], 1),
        ({0: 4, 1: 0, 2: 255, 3: 5}, [0, 3], 2),
        ({0: 4, 1: 256, 2: 5}, [0, 2], 0),  # 257 tokens would be attended to, in steps of 256
        ({0: 4, 1: 256, 2: 256}, [0, 2], 1),
        ({0: 256, 1: 256, 2: 4}, [0, 2], 1),
        ({0: 300, 1: 512, 2: 300}, [0, 2], 0),  # no room
        ({0: 300, 1: 511, 2: 300}, [0, 2], 1),
        ({0: 4, 1: 1, 2: 1, 3: 1, 4: 1, 5: 4}, [0, 5], 0),  # too many
    ],
    ids=str,
)
def test_gaps_are_filled_behind_the_tokens_of_a_resident_slot(
    slices: list[Slice], lengths: dict[int, int], slots: list[int], num_fillers: int
) -> None:
    residents = {slot: length for slot, length in lengths.items() if slot not in slots and length < 512}
    expected = steps_alone(slices, {slot: lengths[slot] for slot in slots}, 1)
    untouched = steps_alone(slices, residents, 1)
    fill(slices, lengths)
    before = num_filler_rows(slices)
    together = step(slices, slots)
    assert [row.tobytes() for row in together] == [expected[slot][0] for slot in slots]
    assert num_filler_rows(slices) == [count + num_fillers for count in before]
    for slot in residents:
        assert [part.slot_length(slot) for part in slices] == [lengths[slot]] * len(slices)
        assert step(slices, [slot]).tobytes() == untouched[slot][0], slot


def test_a_resident_slot_survives_many_steps_of_its_neighbours(slices: list[Slice]) -> None:
    lengths = {slot: 20 + slot for slot in range(NUM_SLOTS)}
    untouched = steps_alone(slices, lengths, 3)
    for part in slices:
        part.set_row_sizes([4, 4, 4, 4])
    fill(slices, lengths)
    for _ in range(50):
        step(slices, [0, 2])
        step(slices, [5])
    assert num_filler_rows(slices) == [50 * 5.0] * len(slices)
    for slot in (1, 3, 4, 6, 7):
        assert [step(slices, [slot]).tobytes() for _ in range(3)] == untouched[slot], slot


@pytest.mark.parametrize(
    ("slots", "num_fillers"),
    [
        ([0], 3),
        ([7], 3),
        ([3, 4], 2),
        ([0, 2], 1 + 1),
        ([0, 1, 2], 1),
        ([0, 1, 2, 3], 0),
        ([0, 1, 2, 3, 4], 0),  # beyond the list
        ([0, 6], 3 + 3),  # two calls
        ([0, 1, 6, 7], 2 + 2),
        ([1, 6, 0, 7], 3 + 3),  # four calls; 0 and 7 have no idle neighbour
    ],
    ids=str,
)
def test_single_rows_are_padded_with_idle_slots(slices: list[Slice], slots: list[int], num_fillers: int) -> None:
    lengths = {slot: 10 + slot for slot in slots}
    expected = steps_alone(slices, lengths, 4)
    for part in slices:
        part.set_row_sizes([4, 4, 4, 4])
    fill(slices, lengths | {5: 30} if 5 not in slots else lengths)
    before = num_filler_rows(slices)
    got = [step(slices, slots) for _ in range(4)]
    assert num_filler_rows(slices) == [count + 4 * num_fillers for count in before]
    for i, slot in enumerate(slots):
        assert [rows[i].tobytes() for rows in got] == expected[slot]


def test_a_group_without_enough_idle_slots_beside_it_is_not_padded(slices: list[Slice]) -> None:
    for part in slices:
        part.set_row_sizes([4])
    fill(slices, {0: 3, 1: 512, 2: 3, 3: 3})
    before = num_filler_rows(slices)
    step(slices, [0])
    assert num_filler_rows(slices) == before
    step(slices, [2])  # with 3, 4, 5
    assert num_filler_rows(slices) == [count + 3 for count in before]
    for part in slices:
        part.set_row_sizes([])
    step(slices, [2])
    assert num_filler_rows(slices) == [count + 3 for count in before]


def test_a_chunk_of_a_prompt_is_not_padded(slices: list[Slice]) -> None:
    for part in slices:
        part.set_row_sizes([4, 4, 4, 4])
    run(slices, prompt([1, 2, 3], 0))
    run(slices, prompt([1, 2], 1) + prompt([1, 2], 2))
    assert num_filler_rows(slices) == [0.0] * len(slices)


def test_more_rows_than_there_are_slots_are_never_made_up(model_file: ModelFiles) -> None:
    few = Slice(str(model_file()), n_ctx=64, n_slots=3, n_batch=32)
    few.set_row_sizes([4, 32])
    run([few], prompt([1], 1))
    run([few], [(1, 1, 1, True), (1, 0, 2, True)])
    assert few.timings["filler_rows"] == 0


def test_measure_rows_leaves_everything_as_it_was(slices: list[Slice]) -> None:
    expected = steps_alone(slices, {0: 5, 2: 5, 6: 5}, 2)
    for part in slices:
        part.set_row_sizes([4, 4, 4, 4])
    fill(slices, {6: 5})
    before = [part.timings for part in slices]
    for part in slices:
        took_ms = [part.measure_rows(num_rows) for num_rows in (1, 2, 3, 6)]
        assert min(took_ms) > 0
        assert [part.slot_length(slot) for slot in range(NUM_SLOTS)] == [0, 0, 0, 0, 0, 0, 5, 0]
    assert [part.timings for part in slices] == before
    fill(slices, {0: 5, 2: 5})
    for i in range(2):
        for slot in (0, 2, 6):
            assert step(slices, [slot]).tobytes() == expected[slot][i], slot


def test_rows_before_a_measurement_can_no_longer_be_read(model_file: ModelFiles) -> None:
    one = Slice(str(model_file()), n_ctx=64, n_slots=2)
    run([one], prompt([1], 1))
    one.measure_rows(1)
    with pytest.raises(ValueError, match="no forward"):
        one.logits([0])
