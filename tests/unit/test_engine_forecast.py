"""Tokens per second from the times of the stages."""

from __future__ import annotations

import pytest

from cluster.engine.forecast import StepTime, forecast, rows_per_microbatch


def test_a_lone_request_waits_for_every_stage() -> None:
    times = [StepTime(0.010, hop_s=0.001), StepTime(0.008, draw_s=0.001)]
    speed = forecast(times, times, num_slots=1)
    assert speed.one_request_tokens_per_s == pytest.approx(1 / 0.020)
    assert speed.all_slots_tokens_per_s == pytest.approx(1 / 0.020)


def test_a_full_pipeline_goes_at_the_pace_of_its_slowest_stage() -> None:
    alone = [StepTime(0.010), StepTime(0.010)]
    full = [StepTime(0.012, hop_s=0.001), StepTime(0.010, draw_s=0.020)]
    speed = forecast(alone, full, num_slots=8)
    assert (speed.rows_per_microbatch, speed.bottleneck, speed.cause) == (4, 1, "drawing tokens")
    assert speed.all_slots_tokens_per_s == pytest.approx(8 / (2 * 0.030))


def test_slots_are_divided_among_the_microbatches() -> None:
    assert [rows_per_microbatch(slots, 3) for slots in (1, 2, 3, 4, 8)] == [1, 1, 1, 2, 3]
