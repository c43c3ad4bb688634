"""A sequence says the same whatever shares its microbatch, bit for bit (Q8_0 weights, one thread)."""

from __future__ import annotations

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.native.conftest import ModelFiles, Row, prompt, run
from worker_native import Slice

NUM_SLOTS = 8
TOKENS = {slot: [(7 * slot + 3 * i) % 250 + 1 for i in range(12)] for slot in range(NUM_SLOTS)}
Logits = NDArray[np.float32]


@pytest.fixture(params=["whole", "two slices"])
def slices(request: pytest.FixtureRequest, model_file: ModelFiles) -> list[Slice]:
    ranges = [None] if request.param == "whole" else [(0, 2), (2, 4)]
    size = {"n_ctx": 64, "n_slots": NUM_SLOTS, "n_batch": 64, "n_ubatch": 64}
    return [Slice(str(model_file("q8_0", layers)), **size) for layers in ranges]


def alone(slices: list[Slice], slot: int, num_prompt: int) -> Logits:
    """Logits of the rows after the prompt, each step by itself."""
    run(slices, prompt(TOKENS[slot][:num_prompt], slot))
    steps = [run(slices, [(token, num_prompt + i, slot, True)]) for i, token in enumerate(TOKENS[slot][num_prompt:])]
    for part in slices:
        part.prepare_slot(slot, slot, 0)
    return np.concatenate(steps)


@pytest.mark.parametrize(
    "slots",
    [[0, 1, 2, 3], [0, 2, 3], [1, 5], [0, 7], [7, 2, 4], [3], list(range(NUM_SLOTS))],
    ids=str,
)
def test_decoding_together_equals_decoding_alone(slices: list[Slice], slots: list[int]) -> None:
    expected = {slot: alone(slices, slot, 4) for slot in slots}
    run(slices, [row for slot in slots for row in prompt(TOKENS[slot][:4], slot)])
    for i in range(8):
        got = run(slices, [(TOKENS[slot][4 + i], 4 + i, slot, True) for slot in slots])
        for slot, row in zip(slots, got, strict=True):
            assert row.tobytes() == expected[slot][i].tobytes(), (slot, i)


def test_slots_between_are_left_empty(slices: list[Slice]) -> None:
    """Rows that only fill a gap leave nothing behind."""
    run(slices, prompt(TOKENS[0][:4], 0) + prompt(TOKENS[3][:4], 3))
    for _ in range(2):
        run(slices, [(5, slices[0].slot_length(0), 0, True), (5, slices[0].slot_length(3), 3, True)])
        assert [part.slot_length(slot) for part in slices for slot in (1, 2)] == [0, 0] * len(slices)
    run(slices, prompt(TOKENS[1][:4], 1))
    with_company = run(slices, [(TOKENS[1][4], 4, 1, True)])
    for part in slices:
        for slot in range(NUM_SLOTS):
            part.prepare_slot(slot, slot, 0)
    assert with_company.tobytes() == alone(slices, 1, 4)[:1].tobytes()


def test_random_mixtures_equal_each_alone(slices: list[Slice]) -> None:
    """Prompts in chunks, single steps and new slots, in any mixture and order of slots."""
    draw = random.Random(3)
    expected = {slot: alone(slices, slot, 1) for slot in TOKENS}
    done = dict.fromkeys(TOKENS, 0)
    got: dict[int, list[Logits]] = {slot: [] for slot in TOKENS}
    while unfinished := [slot for slot in TOKENS if done[slot] < 12]:
        slots = draw.sample(unfinished, draw.randint(1, len(unfinished)))
        rows: list[Row] = []
        for slot in slots:
            count = min(draw.choice([1, 1, 1, 2, 3]), 12 - done[slot])
            rows += prompt(TOKENS[slot][done[slot] : done[slot] + count], slot, done[slot])
            done[slot] += count
        logits = run(slices, rows)
        for (_, position, slot, _), row in zip(rows, logits, strict=True):
            if position:
                got[slot].append(row)
    for slot, rows_of_slot in got.items():
        np.testing.assert_array_equal(np.array(rows_of_slot), expected[slot], err_msg=str(slot))


def test_a_copied_slot_goes_on_by_itself(slices: list[Slice]) -> None:
    expected = alone(slices, 2, 6)
    run(slices, prompt(TOKENS[2][:9], 2))
    for part in slices:
        part.prepare_slot(6, 2, 6)
        part.prepare_slot(2, 2, 0)
    got: list[Logits] = [run(slices, [(TOKENS[2][6 + i], 6 + i, 6, True)]) for i in range(6)]
    assert np.concatenate(got).tobytes() == expected.tobytes()
