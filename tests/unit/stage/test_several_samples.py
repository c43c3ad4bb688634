"""A slot that samples several times in a step gets what it gets one token a step, and can take rows back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cluster.messages.step import SampledToken, SlotStart, StepResult
from tests.unit.stage.test_slots import MODEL, PARAMS, Pipeline, pipeline

__all__ = ["pipeline"]

SLOTS = [0, 1, 5]
Rows = dict[int, list[int]]


def one_by_one(stages: Pipeline, num_steps: int) -> dict[int, list[SampledToken]]:
    results = [stages.begin(SLOTS, PARAMS)]
    for step in range(num_steps):
        results.append(stages.go_on(results[-1], 3 + step))
    return {slot: [sampled for result in results for sampled in of_slot(result, slot)] for slot in SLOTS}


def of_slot(result: StepResult, slot: int) -> list[SampledToken]:
    return [sampled for sampled in result.sampled if sampled.slot == slot]


def all_sampled(
    stages: Pipeline, rows: Rows, positions: dict[int, int], starts: tuple[SlotStart, ...] = ()
) -> StepResult:
    flat = [(slot, positions[slot] + at, token) for slot, tokens in rows.items() for at, token in enumerate(tokens)]
    every = np.arange(len(flat), dtype=np.int32)
    return stages.step(flat, samples=every, wants_logits=np.ones(len(flat), np.bool_), slot_starts=starts)


def assert_same(found: list[SampledToken], expected: list[SampledToken]) -> None:
    """Kernels for one row and for several of a slot add up in another order."""
    assert [sampled.token for sampled in found] == [sampled.token for sampled in expected]
    logprobs = [sampled.logprob for sampled in expected]
    assert [sampled.logprob for sampled in found] == pytest.approx(logprobs, abs=1e-4)


def test_samples_are_equal_and_wrong_guesses_leave_nothing(pipeline: Pipeline) -> None:
    expected = one_by_one(pipeline, 6)
    tokens = {slot: [sampled.token for sampled in expected[slot]] for slot in SLOTS}
    first = pipeline.begin(SLOTS, PARAMS)
    assert [sampled.token for sampled in first.sampled] == [tokens[slot][0] for slot in SLOTS]

    wrong = [(tokens[1][1] + 1) % MODEL.vocab_size, 3]
    rows: Rows = {0: tokens[0][:4], 1: [tokens[1][0], *wrong], 5: tokens[5][:1]}
    checked = all_sampled(pipeline, rows, dict.fromkeys(SLOTS, 3))
    assert [sampled.row for sampled in checked.sampled] == list(range(8))
    assert_same(of_slot(checked, 0), expected[0][1:5])
    assert_same(of_slot(checked, 1)[:1], expected[1][1:2])  # what comes behind a wrong guess is of no text
    assert_same(of_slot(checked, 5), expected[5][1:2])

    # Slot 0 takes back two of its four rows, slot 1 the two wrong ones.
    starts = (SlotStart(0, 0, 5), SlotStart(1, 1, 4))
    rows = {0: tokens[0][2:4], 1: tokens[1][1:3], 5: tokens[5][1:3]}
    again = all_sampled(pipeline, rows, {0: 5, 1: 4, 5: 4}, starts)
    assert_same(of_slot(again, 0), expected[0][3:5])
    assert_same(of_slot(again, 1), expected[1][2:4])
    assert_same(of_slot(again, 5), expected[5][2:4])


class FailsAt:
    """The sampler of the last stage, but for one row that it cannot sample."""

    def __init__(self, sampler: Any, index: int) -> None:
        self._sampler = sampler
        self._index = index

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sampler, name)

    def sample(self, *args: Any) -> list[Any]:
        found = list(self._sampler.sample(*args))
        found[self._index] = SimpleNamespace(error="it allows no token")
        return found


def test_a_row_that_cannot_be_sampled_ends_the_samples_of_its_slot(pipeline: Pipeline) -> None:
    expected = one_by_one(pipeline, 4)
    tokens = {slot: [sampled.token for sampled in expected[slot]] for slot in SLOTS}
    pipeline.begin(SLOTS, PARAMS)
    last: Any = pipeline.stages[-1]
    last._sampler = FailsAt(last._sampler, 4)
    checked = all_sampled(pipeline, {slot: tokens[slot][:4] for slot in SLOTS}, dict.fromkeys(SLOTS, 3))
    assert [failure.slot for failure in checked.failures] == [SLOTS[1]]
    assert [sampled.row for sampled in checked.sampled] == [0, 1, 2, 3, 8, 9, 10, 11]
    assert_same(of_slot(checked, SLOTS[2]), expected[SLOTS[2]][1:5])
