"""Tokens per second from the times of the stages."""

from __future__ import annotations

import pytest

from cluster.engine.cost.decode import PipelineCosts
from cluster.engine.cost.forecast import forecast
from cluster.messages.stage import StageCosts

_ROWS = (1, 2, 4, 8)


def linear(row_ms: float) -> tuple[tuple[int, float], ...]:
    return tuple((rows, row_ms * rows) for rows in _ROWS)


def flat(step_ms: float) -> tuple[tuple[int, float], ...]:
    return tuple((rows, step_ms) for rows in _ROWS)


def test_a_lone_request_waits_for_every_stage_and_every_message() -> None:
    speed = forecast(PipelineCosts((StageCosts(flat(10.0)), StageCosts(flat(9.0))), hop_ms=1.0), num_slots=1)
    assert speed.one_request_tokens_per_s == pytest.approx(1 / 0.021)
    assert speed.all_slots_tokens_per_s == pytest.approx(1 / 0.021)


def test_a_full_pipeline_goes_at_the_pace_of_its_slowest_stage() -> None:
    costs = PipelineCosts((StageCosts(linear(3.0)), StageCosts(linear(8.0))), hop_ms=1.0)
    speed = forecast(costs, num_slots=8, sample_row_ms=5.0)
    assert (speed.num_microbatches, speed.rows_per_microbatch, speed.alone) == (2, 4, False)
    assert (speed.bottleneck, speed.cause) == (1, "sampling")
    assert speed.all_slots_tokens_per_s == pytest.approx(8 / (2 * 4 * 0.008))


def test_one_microbatch_is_better_where_rows_are_free() -> None:
    """As on a GPU: two microbatches would read all weights twice."""
    speed = forecast(PipelineCosts((StageCosts(flat(10.0)), StageCosts(flat(30.0))), hop_ms=0.0), num_slots=8)
    assert (speed.num_microbatches, speed.rows_per_microbatch, speed.alone) == (1, 8, False)
    assert (speed.bottleneck, speed.cause) == (1, "computing")
    assert speed.all_slots_tokens_per_s == pytest.approx(8 / 0.040)


def test_stages_that_lend_their_cores_may_work_in_turn() -> None:
    costs = PipelineCosts((StageCosts(flat(10.0), flat(4.0)), StageCosts(flat(10.0), flat(5.0))), hop_ms=0.0)
    speed = forecast(costs, num_slots=8)
    assert (speed.alone, speed.num_microbatches, speed.rows_per_microbatch, speed.bottleneck) == (True, 1, 8, 1)
    assert speed.all_slots_tokens_per_s == pytest.approx(8 / 0.009)


def test_times_are_of_the_plan_that_follows_from_what_the_scheduler_knows() -> None:
    costs = PipelineCosts((StageCosts(flat(10.0), flat(40.0)), StageCosts(flat(10.0), flat(50.0))), hop_ms=0.0)
    known = PipelineCosts((StageCosts(flat(10.0), flat(5.0)), StageCosts(flat(10.0), flat(5.0))), hop_ms=0.0)
    assert not forecast(costs, 8).alone
    speed = forecast(costs, 8, known=known)
    assert speed.alone
    assert speed.all_slots_tokens_per_s == pytest.approx(8 / 0.090)


def test_messages_may_take_longer_than_what_is_computed() -> None:
    speed = forecast(PipelineCosts((StageCosts(flat(0.1)), StageCosts(flat(0.1))), hop_ms=0.5), num_slots=1)
    assert speed.cause == "messages"
