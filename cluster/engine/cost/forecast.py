"""How many tokens a second a pipeline will make, by the costs and the plan that its scheduler goes by. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.engine.cost.decode import PipelineCosts, decode_plan, rows_per_lane


@dataclass(frozen=True, slots=True)
class Forecast:
    """Decode rates at short contexts."""

    one_request_tokens_per_s: float
    all_slots_tokens_per_s: float
    num_microbatches: int  # that share the pipeline with all slots in use
    rows_per_microbatch: int
    alone: bool  # one microbatch has all cores of a host to itself
    bottleneck: int  # a stage
    cause: str  # what it spends its time on


def forecast(
    costs: PipelineCosts, num_slots: int, sample_row_ms: float = 0.0, known: PipelineCosts | None = None
) -> Forecast:
    """`sample_row_ms`: the part of the last stage's step that is the choice of a token, for each row.

    `known`: the costs that the scheduler will choose by, if it does not know `costs`.
    """
    plan = decode_plan(known or costs, num_slots)
    num_rows = rows_per_lane(num_slots, plan.num_lanes)
    steps_ms = costs.exclusive_steps_ms(num_rows) if plan.exclusive else costs.steps_ms(num_rows)
    slowest = max(range(len(steps_ms)), key=steps_ms.__getitem__)
    sampling_ms = sample_row_ms * num_rows if slowest == len(steps_ms) - 1 else 0.0
    message_ms = costs.hop_ms + num_rows * costs.narrowest_row_ms
    parts = {"computing": steps_ms[slowest] - sampling_ms, "sampling": sampling_ms, "messages": message_ms}
    return Forecast(
        one_request_tokens_per_s=tokens_per_s(costs, 1, known),
        all_slots_tokens_per_s=tokens_per_s(costs, num_slots, known),
        num_microbatches=plan.num_lanes,
        rows_per_microbatch=num_rows,
        alone=plan.exclusive,
        bottleneck=slowest,
        cause=max(parts, key=parts.__getitem__),
    )


def tokens_per_s(costs: PipelineCosts, num_sequences: int, known: PipelineCosts | None = None) -> float:
    """What so many sequences get together while they are decoded, by the plan that follows from what is `known`."""
    return 1e3 * num_sequences / costs.round_ms(decode_plan(known or costs, num_sequences), num_sequences)
