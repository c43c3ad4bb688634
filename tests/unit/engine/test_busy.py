"""BusyWindow: what share of the time a stage worked, on the engine's clock."""

from __future__ import annotations

import pytest

from cluster.engine.busy import BusyWindow
from cluster.messages.step import StepId, StepTiming


def timing(step: int, length_s: float, stage: int = 0) -> StepTiming:
    start_ns = 10**15 + step * 10**9  # another node's clock: far from the engine's
    return StepTiming(StepId(0, 0, step), stage, 1, start_ns, start_ns + round(length_s * 1e9), start_ns)


def test_half_of_the_time_is_half_busy() -> None:
    window = BusyWindow(2, now_s=100.0, window_s=10.0)
    for step in range(20):
        window.record(timing(step, 0.5), now_s=101.0 + step)
    idle, busy = window.activity(1, 120.0), window.activity(0, 120.0)
    assert busy.busy_fraction == pytest.approx(0.5)
    assert busy.step_ms == pytest.approx(500.0)
    assert busy.num_steps == busy.num_rows == 20
    assert busy.busy_s == pytest.approx(10.0)  # of all steps, also those before the window
    assert (idle.busy_fraction, idle.step_ms, idle.num_steps) == (0.0, 0.0, 0)


def test_a_step_counts_as_far_as_it_lies_in_the_window() -> None:
    window = BusyWindow(1, now_s=0.0, window_s=10.0)
    window.record(timing(0, 8.0), now_s=15.0)
    assert window.activity(0, 20.0).busy_fraction == pytest.approx(0.5)
    assert window.activity(0, 26.0).busy_fraction == 0.0
    assert window.activity(0, 26.0).step_ms == 0.0


def test_the_time_before_the_start_does_not_count() -> None:
    window = BusyWindow(1, now_s=50.0, window_s=10.0)
    assert window.activity(0, 50.0).busy_fraction == 0.0
    window.record(timing(0, 1.0), now_s=51.0)
    assert window.activity(0, 52.0).busy_fraction == pytest.approx(0.5)


def test_only_the_latest_steps_are_kept_and_the_window_shrinks_with_them() -> None:
    window = BusyWindow(1, now_s=0.0, window_s=100.0, max_steps=5)
    for step in range(20):
        window.record(timing(step, 0.25), now_s=float(step))
    assert [kept.id.step for kept in window.timings(0)] == [15, 16, 17, 18, 19]
    assert window.activity(0, 19.0).busy_fraction == pytest.approx(0.25)
    assert window.activity(0, 19.0).num_steps == 20


def test_timings_that_make_no_sense_are_dropped() -> None:
    window = BusyWindow(1, now_s=0.0)
    for bad in (timing(0, -1.0), timing(0, 1.0, stage=1), timing(0, 1.0, stage=-1)):
        window.record(bad, now_s=1.0)
    window.record(timing(0, 1e6), now_s=1.0)
    assert window.activities(2.0)[0].busy_fraction <= 1.0
    assert len(window.timings(0)) == 1


def test_a_step_waits_from_its_arrival_to_its_beginning() -> None:
    window = BusyWindow(1, now_s=0.0)
    window.record(StepTiming(StepId(0, 0, 0), 0, 5, start_ns=7_000_000, end_ns=9_000_000, received_ns=4_000_000), 1.0)
    assert window.activity(0, 1.0).wait_ms == pytest.approx(3.0)
    assert window.activity(0, 1.0).num_rows == 5
