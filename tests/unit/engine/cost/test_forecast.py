"""Tokens per second from the times of the stages."""

from __future__ import annotations

import pytest

from cluster.engine.cost.forecast import StepTime, Times, forecast, rows_per_microbatch


def always(*times: StepTime) -> Times:
    return lambda num_rows: times


def test_a_lone_request_waits_for_every_stage() -> None:
    times = always(StepTime(0.010, hop_s=0.001), StepTime(0.008, draw_s=0.001))
    speed = forecast(times, times, num_slots=1)
    assert speed.one_request_tokens_per_s == pytest.approx(1 / 0.020)
    assert speed.all_slots_tokens_per_s == pytest.approx(1 / 0.020)


def test_a_full_pipeline_goes_at_the_pace_of_its_slowest_stage() -> None:
    def full(num_rows: int) -> list[StepTime]:
        return [StepTime(0.003 * num_rows, hop_s=0.001), StepTime(0.003 * num_rows, draw_s=0.005 * num_rows)]

    speed = forecast(always(StepTime(1.0), StepTime(1.0)), full, num_slots=8)
    assert (speed.num_microbatches, speed.rows_per_microbatch, speed.alone) == (2, 4, False)
    assert (speed.bottleneck, speed.cause) == (1, "drawing tokens")
    assert speed.all_slots_tokens_per_s == pytest.approx(8 / (2 * 4 * 0.008))


def test_one_microbatch_is_better_where_rows_are_free() -> None:
    """As on a GPU: two microbatches would read all weights twice."""
    full = always(StepTime(0.010), StepTime(0.030))
    speed = forecast(always(StepTime(0.010), StepTime(0.050)), full, num_slots=8)
    assert (speed.num_microbatches, speed.rows_per_microbatch, speed.alone) == (1, 8, False)
    assert speed.all_slots_tokens_per_s == pytest.approx(8 / 0.040)


def test_stages_that_lend_their_cores_may_work_in_turn() -> None:
    speed = forecast(always(StepTime(0.004), StepTime(0.005)), always(StepTime(0.010), StepTime(0.010)), num_slots=8)
    assert (speed.alone, speed.num_microbatches, speed.rows_per_microbatch, speed.bottleneck) == (True, 1, 8, 1)
    assert speed.all_slots_tokens_per_s == pytest.approx(8 / 0.009)


def test_slots_are_divided_among_the_microbatches() -> None:
    assert [rows_per_microbatch(slots, 3) for slots in (1, 2, 3, 4, 8)] == [1, 1, 1, 2, 3]
