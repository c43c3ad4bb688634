"""StepCostModel: how many microbatches share the pipeline, and how many rows a chunk of a prompt has.

Decisions from what steps take on each stage: measured when it was loaded, and learned from the chunks that ran.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from cluster.engine.cost.decode import (
    DecodePlan,
    PipelineCosts,
    decode_plan,
    most_lanes_of,
    pipeline_costs,
    rows_per_lane,
)
from cluster.engine.cost.points import empty_ms, slope
from cluster.engine.cost.row_cost import RowCost
from cluster.engine.cost.tuning import (
    ADMISSION_DELAY_STEPS,
    CHUNK_ROWS,
    CHUNK_STEPS,
    LEAST_ROWS,
    MAX_OPEN_CHUNKS,
    TILE_ROWS,
)
from cluster.messages.stage import StageCosts
from cluster.messages.step import StepId, StepTiming


@dataclass(frozen=True, slots=True)
class PromptPlan:
    """At most `num_rows` rows for the next chunk; `exclusive` as in Microbatch."""

    num_rows: int
    exclusive: bool


class StepCostModel:
    """What the stages are capable of, and what follows from it. Holds no clock."""

    def __init__(self, num_stages: int, max_batch_tokens: int) -> None:
        self._num_stages = num_stages
        self._max_batch_tokens = max_batch_tokens
        self._open_chunks: OrderedDict[StepId, tuple[int, float, bool]] = OrderedDict()
        self.begin(())

    def begin(self, costs: Sequence[StageCosts]) -> None:
        """New stages; () if nothing is known of them."""
        self._costs = pipeline_costs(costs)
        self._row_costs = [RowCost() for _ in range(self._num_stages)]  # chunks with many rows
        # Chunks with few rows: what a row takes more than in a step that decodes, because of all that lies before it.
        self._reach_costs = [RowCost() for _ in range(self._num_stages)]
        self._open_chunks.clear()
        self._decode_plans: dict[int, DecodePlan] = {}

    def decode_plan(self, num_sequences: int) -> DecodePlan:
        """The plan of `cost.decode`; where costs are unknown, every stage gets a microbatch."""
        if self._costs is None:
            return DecodePlan(most_lanes_of(self._num_stages, num_sequences), exclusive=False)
        if num_sequences not in self._decode_plans:  # it is asked for with every step
            self._decode_plans[num_sequences] = decode_plan(self._costs, num_sequences)
        return self._decode_plans[num_sequences]

    @property
    def admission_delay_s(self) -> float:
        """How long a request may wait, with all stages idle, for others that come close behind it.

        They begin together then; those that come later wait for the step that has begun. 0 if costs are unknown.
        """
        if self._costs is None:
            return 0.0
        return ADMISSION_DELAY_STEPS * min(self.step_s(1, exclusive=False), self.step_s(1, exclusive=True))

    def step_s(self, num_rows: int, *, exclusive: bool) -> float:
        """What a step of so many sequences takes through all stages, in seconds; 0 if costs are unknown."""
        if self._costs is None:
            return 0.0
        return (self._costs.exclusive_round_ms(num_rows) if exclusive else sum(self._costs.steps_ms(num_rows))) / 1e3

    def slowest_s(self, num_rows: int) -> float:
        """What a step of so many sequences takes on the stage where it takes longest, in seconds; 0 if unknown."""
        return 0.0 if self._costs is None else max(self._costs.steps_ms(num_rows)) / 1e3

    def prompt_plan(self, prompts: Sequence[int], position: int, num_decoding: int) -> PromptPlan:
        """A chunk for prompts that have so many rows to come each, the first of them at `position`."""
        costs = self._costs
        if costs is None:
            return PromptPlan(self._max_batch_tokens, exclusive=False)
        if num_decoding:
            return self._plan_beside(costs, self.decode_plan(num_decoding), prompts, num_decoding, position)
        num_rows = sum(prompts)
        row_ms = self._rows_ms(costs, position)
        even = self._even_rows(costs, num_rows, position)
        num_chunks = -(-num_rows // even)
        piped_ms = (num_chunks - 1) * even * max(row_ms) + even * sum(row_ms) + num_chunks * costs.hop_ms
        exclusive_ms = costs.exclusive_spans_ms([num_rows * ms for ms in row_ms], num_rows)
        if exclusive_ms < piped_ms:
            return PromptPlan(self._max_batch_tokens, exclusive=True)
        return PromptPlan(even, exclusive=False)

    def sent(self, step_id: StepId, num_rows: int, position: float, *, exclusive: bool) -> None:
        """A chunk went out, with its rows at `position` on average."""
        self._open_chunks[step_id] = num_rows, position, exclusive
        if len(self._open_chunks) > MAX_OPEN_CHUNKS:
            self._open_chunks.popitem(last=False)

    def learn(self, timing: StepTiming) -> None:
        """What a step took; those that are no chunks of prompts are left aside."""
        chunk, costs = self._open_chunks.get(timing.id), self._costs
        if chunk is None or costs is None or not 0 <= timing.stage < self._num_stages:
            return
        num_rows, position, exclusive = chunk
        speedup = costs.speedup(timing.stage, num_rows) if exclusive else 1.0
        took_ms = (timing.end_ns - timing.start_ns) / 1e6 * speedup
        if num_rows >= TILE_ROWS:
            self._row_costs[timing.stage].add(position, took_ms / num_rows)
        elif num_rows >= LEAST_ROWS:
            more_ms = max(0.0, took_ms - costs.steps_ms(num_rows)[timing.stage])
            self._reach_costs[timing.stage].add(position, more_ms / num_rows)

    def _plan_beside(
        self, costs: PipelineCosts, decode: DecodePlan, prompts: Sequence[int], num_decoding: int, position: int
    ) -> PromptPlan:
        """A chunk between the steps of sequences that are being decoded.

        It may take about as long as one of their steps will, those included whose prompts it completes: so many
        short prompts begin together.
        """
        ends = list(accumulate(prompts))
        num_rows = min(LEAST_ROWS, self._max_batch_tokens)
        for more_rows in sorted({min(rows, ends[-1]) for rows in CHUNK_ROWS if rows <= self._max_batch_tokens}):
            num_begun = rows_per_lane(num_decoding + bisect_right(ends, more_rows), decode.num_lanes)
            spans_ms = self._chunk_ms(costs, more_rows, position)
            if decode.exclusive:
                fits = costs.exclusive_spans_ms(spans_ms, more_rows) <= CHUNK_STEPS * costs.exclusive_round_ms(
                    num_begun
                )
            else:
                fits = max(spans_ms) <= CHUNK_STEPS * max(costs.steps_ms(num_begun))
            if fits:
                num_rows = more_rows
        return PromptPlan(num_rows, exclusive=decode.exclusive)

    def _chunk_ms(self, costs: PipelineCosts, num_rows: int, position: int) -> list[float]:
        """What a chunk takes on each stage: with few rows as a step that decodes, and what was learned beyond that."""
        if num_rows >= TILE_ROWS:
            return [num_rows * row_ms for row_ms in self._rows_ms(costs, position)]
        more_ms = [num_rows * cost.at(position) if cost.is_known else 0.0 for cost in self._reach_costs]
        return [step + more for step, more in zip(costs.steps_ms(num_rows), more_ms, strict=True)]

    def _rows_ms(self, costs: PipelineCosts, position: float) -> list[float]:
        """What a row at `position` takes on each stage, in a chunk of many."""
        return [
            learned.at(position) if learned.is_known else slope(stage.decode_ms)
            for learned, stage in zip(self._row_costs, costs.stages, strict=True)
        ]

    def _even_rows(self, costs: PipelineCosts, num_rows: int, position: int) -> int:
        """Rows at `position` so that all chunks of the prompt take equal time, and the pipeline is best filled.

        With k chunks of r rows over S stages the last row leaves after k + S - 1 steps of (a + b r) ms, a
        being what a step takes without rows; that is least for r = sqrt(a rows / (b (S - 1))).
        """
        if self._num_stages == 1:
            return self._max_batch_tokens
        row_ms = max(self._rows_ms(costs, position + num_rows / 2))
        begin_ms = costs.hop_ms + max(empty_ms(stage.decode_ms) for stage in costs.stages)
        best = math.sqrt(begin_ms * num_rows / (row_ms * (self._num_stages - 1)))
        here_ms = max(self._rows_ms(costs, position))
        num_tiles = max(1, int(best * row_ms / here_ms / TILE_ROWS))
        return min(num_tiles * TILE_ROWS, self._max_batch_tokens)
