"""How sequences that are being decoded share the pipeline, and how long a round takes: for scheduler and planner."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.engine.cost.points import step_ms
from cluster.engine.cost.tuning import HOP_MS, SHARING_GAIN
from cluster.messages.stage import StageCosts


@dataclass(frozen=True, slots=True)
class DecodePlan:
    """So many microbatches share the pipeline; or one that has it, and all cores of a host, for itself."""

    num_lanes: int
    exclusive: bool


@dataclass(frozen=True, slots=True)
class PipelineCosts:
    """What steps take on each stage, and messages between them. `stages` has decode_ms for each."""

    stages: tuple[StageCosts, ...]
    hop_ms: float = HOP_MS  # from a stage to the next one, and from the last one back to the first
    turn_ms: float = HOP_MS  # from the last one back, through the coordinator, where several microbatches are under way
    # What each row takes more, where links are narrow: on its way through all of them, and through the narrowest one.
    row_ms: float = 0.0
    narrowest_row_ms: float = 0.0

    @property
    def can_lend(self) -> bool:
        """Whether any stage has more cores while it computes alone."""
        return any(stage.exclusive_ms for stage in self.stages)

    def messages_ms(self, num_rows: int) -> float:
        """All hops of a round of one microbatch: a lone stage is told of its next step too."""
        return len(self.stages) * self.hop_ms + num_rows * self.row_ms

    def steps_ms(self, num_rows: int) -> list[float]:
        """A step of `num_rows` sequences on each stage, which has its own share of the cores."""
        return [step_ms(stage.decode_ms, num_rows) for stage in self.stages]

    def exclusive_steps_ms(self, num_rows: int) -> list[float]:
        """The same while no other stage computes, so that cores may be lent."""
        return [step_ms(stage.exclusive_ms or stage.decode_ms, num_rows) for stage in self.stages]

    def speedup(self, stage: int, num_rows: int) -> float:
        """How many times as fast a stage is while it has the lent cores too; as measured for the nearest rows."""
        costs = self.stages[stage]
        if not costs.exclusive_ms:
            return 1.0
        near_rows = min(num_rows, costs.exclusive_ms[-1][0])
        return step_ms(costs.decode_ms, near_rows) / step_ms(costs.exclusive_ms, near_rows)

    def exclusive_spans_ms(self, spans_ms: Sequence[float], num_rows: int) -> float:
        """A step through all stages that would take `spans_ms` on each, if it has the lent cores; messages included."""
        if not self.can_lend:
            return math.inf
        return sum(ms / self.speedup(stage, num_rows) for stage, ms in enumerate(spans_ms)) + self.messages_ms(num_rows)

    def shared_round_ms(self, num_lanes: int, num_sequences: int) -> float:
        """Until every sequence has its next token, the stages being shared by `num_lanes` microbatches."""
        num_rows = rows_per_lane(num_sequences, num_lanes)
        steps_ms = self.steps_ms(num_rows)
        back_ms = self.turn_ms if num_lanes > 1 else self.hop_ms
        once_ms = sum(steps_ms) + (len(steps_ms) - 1) * self.hop_ms + num_rows * self.row_ms + back_ms
        # A link carries one microbatch after the other, as a stage computes them.
        return max(num_lanes * max(*steps_ms, num_rows * self.narrowest_row_ms), once_ms)

    def exclusive_round_ms(self, num_sequences: int) -> float:
        """The same in one microbatch that has all cores to itself; infinite where stages lend none."""
        if not self.can_lend:
            return math.inf
        return sum(self.exclusive_steps_ms(num_sequences)) + self.messages_ms(num_sequences)

    def round_ms(self, plan: DecodePlan, num_sequences: int) -> float:
        """Until every sequence has its next token, by `plan`."""
        if plan.exclusive:
            return self.exclusive_round_ms(num_sequences)
        return self.shared_round_ms(plan.num_lanes, num_sequences)


def decode_plan(costs: PipelineCosts, num_sequences: int) -> DecodePlan:
    """The plan that decodes most tokens per second, one per sequence and round.

    One microbatch alone leaves all stages but one idle. Where these share a host's cores, that one has them all, and
    more rows in one step: it is only left for a clear gain (SHARING_GAIN).
    """
    most_lanes = most_lanes_of(len(costs.stages), num_sequences)
    rounds_ms = {lanes: costs.shared_round_ms(lanes, num_sequences) for lanes in range(1, most_lanes + 1)}
    num_lanes = min(rounds_ms, key=lambda lanes: (rounds_ms[lanes], -lanes))
    if SHARING_GAIN * costs.exclusive_round_ms(num_sequences) < rounds_ms[num_lanes]:
        return DecodePlan(1, exclusive=True)
    return DecodePlan(num_lanes, exclusive=False)


def most_lanes_of(num_stages: int, num_sequences: int) -> int:
    """Microbatches that can be on their way: a stage and a sequence for each."""
    return max(1, min(num_stages, num_sequences))


def rows_per_lane(num_sequences: int, num_lanes: int) -> int:
    """The largest share of the sequences."""
    return -(-num_sequences // num_lanes)


def pipeline_costs(stages: Sequence[StageCosts], hop_ms: float = HOP_MS) -> PipelineCosts | None:
    """None unless every stage has been measured."""
    known = bool(stages) and all(stage.decode_ms for stage in stages)
    return PipelineCosts(tuple(stages), hop_ms) if known else None
