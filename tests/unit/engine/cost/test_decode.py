"""One model of cost: what `cluster plan` shows is what the scheduler does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.sampling import SamplingParams
from cluster.engine.cost.decode import DecodePlan, PipelineCosts, decode_plan
from cluster.engine.cost.forecast import forecast, tokens_per_s
from cluster.engine.cost.tuning import HOP_MS, SHARING_GAIN
from cluster.engine.limits import Limits
from cluster.engine.scheduler import Scheduler
from cluster.engine.sequence import Sequence
from cluster.messages.stage import StageCosts
from cluster.messages.step import Microbatch, SampledToken, StepResult

_ROWS = (1, 2, 4, 8, 16)
_PARAMS = SamplingParams(seed=1, max_tokens=500, ignore_eos=True)
_NUM_SEQUENCES = st.integers(1, 16)


@st.composite
def _costs(draw: st.DrawFn) -> tuple[StageCosts, ...]:
    """Up to four stages, with or without cores to lend; no time need grow with the rows."""
    lends = draw(st.booleans())

    def points() -> tuple[tuple[int, float], ...]:
        return tuple((rows, draw(st.floats(0.01, 1000.0))) for rows in _ROWS)

    return tuple(StageCosts(points(), points() if lends else ()) for _ in range(draw(st.integers(1, 4))))


def _scheduled(costs: tuple[StageCosts, ...], num_sequences: int) -> DecodePlan:
    """How the scheduler spreads sequences of which each has its first token."""
    limits = Limits(num_slots=16, context_length=1024, max_batch_tokens=64, num_stages=len(costs))
    scheduler = Scheduler(limits)
    scheduler.reset(1, costs)
    sequences = [Sequence(number, (1,), _PARAMS) for number in range(num_sequences)]
    for sequence in sequences:
        scheduler.add(sequence)
    while not all(sequence.num_generated for sequence in sequences):
        for microbatch in _sent(scheduler):
            scheduler.complete(_answer(microbatch), 0.0)
    first = [microbatch for microbatch in _sent(scheduler) if not len(microbatch.pending)]
    return DecodePlan(len(first), first[0].exclusive)


def _sent(scheduler: Scheduler) -> list[Microbatch]:
    """All that it sends before anything is answered; no request is waited for."""
    return list(iter(lambda: scheduler.next_batch(1e9), None))


def _answer(microbatch: Microbatch) -> StepResult:
    sampled = (SampledToken(int(row), int(microbatch.slots[row]), 5, -1.0) for row in microbatch.samples)
    return StepResult(microbatch.id, tuple(sampled))


@given(_costs(), _NUM_SEQUENCES)
def test_the_plan_that_is_shown_is_the_one_that_is_scheduled(costs: tuple[StageCosts, ...], num_slots: int) -> None:
    shown = forecast(PipelineCosts(costs), num_slots)
    assert _scheduled(costs, num_slots) == DecodePlan(shown.num_microbatches, shown.alone)


@given(_costs(), _NUM_SEQUENCES, st.floats(0.0, 10.0))
def test_no_other_plan_is_clearly_faster(costs: tuple[StageCosts, ...], num_sequences: int, hop_ms: float) -> None:
    pipeline = PipelineCosts(costs, hop_ms)
    chosen_ms = pipeline.round_ms(decode_plan(pipeline, num_sequences), num_sequences)
    for num_lanes in range(1, min(len(costs), num_sequences) + 1):
        assert chosen_ms <= pipeline.shared_round_ms(num_lanes, num_sequences) / SHARING_GAIN
    assert chosen_ms <= pipeline.exclusive_round_ms(num_sequences)


@given(_costs(), _NUM_SEQUENCES)
def test_tokens_per_second_are_those_of_the_plan(costs: tuple[StageCosts, ...], num_slots: int) -> None:
    pipeline = PipelineCosts(costs)
    speed, plan = forecast(pipeline, num_slots), decode_plan(pipeline, num_slots)
    assert speed.all_slots_tokens_per_s == pytest.approx(1e3 * num_slots / pipeline.round_ms(plan, num_slots))
    assert speed.one_request_tokens_per_s == tokens_per_s(pipeline, 1)
    assert speed.rows_per_microbatch * speed.num_microbatches >= num_slots


def test_a_gain_that_messages_would_eat_is_none() -> None:
    """The two models of cost once differed here: the plan shared the cores, the scheduler did not."""
    steps, alone = ((1, 10.0), (4, 45.0), (8, 90.0)), ((1, 5.0), (4, 25.0), (8, 50.0))
    costs = (StageCosts(steps, alone),) * 2
    pipeline = PipelineCosts(costs)
    assert pipeline.shared_round_ms(2, 8) < pipeline.exclusive_round_ms(8) == 100.0 + 2 * HOP_MS
    assert (forecast(pipeline, 8).num_microbatches, forecast(pipeline, 8).alone) == (1, True)
    assert _scheduled(costs, 8) == DecodePlan(1, exclusive=True)
