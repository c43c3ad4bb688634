"""When a step is sent behind another: before that ends, whatever steps took before."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.engine.cost.predictor import StepTimePredictor


def test_a_step_that_is_like_the_last_ones_takes_as_long_as_the_shorter_of_them() -> None:
    rhythm = StepTimePredictor()
    rhythm.answered("few rows", sent_s=1.0, now_s=1.4)
    rhythm.answered("few rows", sent_s=1.3, now_s=2.2)  # 0.8 s, since it began with the first one's answer
    assert rhythm.issue_at_s("few rows", sent_s=2.1, guess_s=7.0) == pytest.approx(2.2 + 0.75 * 0.4)
    rhythm.answered("few rows", sent_s=2.1, now_s=3.0)
    assert rhythm.issue_at_s("few rows", sent_s=2.9, guess_s=7.0) == pytest.approx(3.0 + 0.75 * 0.8)


def test_a_step_of_another_kind_takes_what_is_guessed() -> None:
    rhythm = StepTimePredictor()
    assert rhythm.issue_at_s("few rows", sent_s=1.0, guess_s=0.4) == pytest.approx(1.3)
    rhythm.answered("few rows", sent_s=1.0, now_s=2.0)
    assert rhythm.issue_at_s("many rows", sent_s=1.5, guess_s=0.4) == pytest.approx(2.3)
    rhythm.forget()
    assert rhythm.issue_at_s("few rows", sent_s=3.0, guess_s=0.4) == pytest.approx(3.3)


def test_the_shortest_steps_are_followed_at_once() -> None:
    assert StepTimePredictor().issue_at_s("few rows", sent_s=1.0, guess_s=0.004) < 1.0


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0, 9)), max_size=20), st.integers(0, 2), st.floats(0, 9))
def test_nobody_waits_for_longer_than_a_step_is_said_to_take(
    steps: list[tuple[int, float]], kind: int, guess_s: float
) -> None:
    rhythm, now_s, longest_s = StepTimePredictor(), 0.0, guess_s
    for step_kind, took_s in steps:
        rhythm.answered(step_kind, now_s, now_s + took_s)
        now_s += took_s
        longest_s = max(longest_s, took_s)
    issue_at_s = rhythm.issue_at_s(kind, now_s, guess_s)
    assert math.isfinite(issue_at_s)
    assert issue_at_s < now_s + longest_s
