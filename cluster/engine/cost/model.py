"""StepCostModel: how many microbatches share the pipeline, and how many rows a chunk of a prompt has.

Decisions from what steps take on each stage: measured when it was loaded, and learned from the chunks that ran.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from cluster.engine.cost.row_cost import RowCost
from cluster.messages.stage import StageCosts
from cluster.messages.step import StepId, StepTiming

HOP_MS = 1.0  # from a stage to the next one, and from the last one back to the first
# A chunk takes so many times as long as a step of the sequences that are being decoded beside it: with both in
# turns, and what varies, no stream waits for three times as long as without the prompt.
_CHUNK_STEPS = 1.0
# Of what steps alone take, where cores could be shared instead: sharing must promise at least so much less. With a
# thread of computing on every core, each message takes its time from one of them, which no stage has measured.
_SHARING_GAIN = 0.85
_PATIENCE_STEPS = 0.1  # of a step of one row
_LEAST_ROWS = 4  # of a chunk: what CPU kernels compute at once; with fewer, a prompt would hardly move
# Flash attention on a CPU computes 64 rows at once; a row of a chunk that has fewer, or some more, takes up to twice
# as long.
_TILE_ROWS = 64
_CHUNK_ROWS = (4, 8, 12, 16, 24, 32, 48, 64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192)
_MAX_OPEN_CHUNKS = 256

Points = Sequence[tuple[int, float]]  # (rows, milliseconds), ascending


@dataclass(frozen=True, slots=True)
class DecodePlan:
    """How the sequences that are being decoded are spread: over so many microbatches, or one alone."""

    num_lanes: int
    alone: bool


@dataclass(frozen=True, slots=True)
class PromptPlan:
    """At most `num_rows` rows for the next chunk; `alone` as in Microbatch."""

    num_rows: int
    alone: bool


class StepCostModel:
    """What the stages are capable of, and what follows from it. Holds no clock."""

    def __init__(self, num_stages: int, max_batch_tokens: int) -> None:
        self._num_stages = num_stages
        self._max_batch_tokens = max_batch_tokens
        self._open_chunks: OrderedDict[StepId, tuple[int, float, bool]] = OrderedDict()
        self.begin(())

    def begin(self, costs: Sequence[StageCosts]) -> None:
        """New stages; () if nothing is known of them."""
        self._costs = tuple(costs) if all(cost.decode_ms for cost in costs) else ()
        self._row_costs = [RowCost() for _ in range(self._num_stages)]  # of chunks with many rows
        # Of those with few: what a row takes more than one of a step that decodes, because of all that lies before it.
        self._reach_costs = [RowCost() for _ in range(self._num_stages)]
        self._open_chunks.clear()
        self._decode_plans: dict[int, DecodePlan] = {}

    def decode_plan(self, num_sequences: int) -> DecodePlan:
        """The plan that decodes most tokens per second, one per sequence and round.

        One microbatch alone leaves all stages but one idle. Where these share a host's cores, that one has
        them all, and more rows in one step.
        """
        if num_sequences not in self._decode_plans:  # it is asked for with every step
            self._decode_plans[num_sequences] = self._best_decode_plan(num_sequences)
        return self._decode_plans[num_sequences]

    @property
    def patience_s(self) -> float:
        """How long a request may wait, with all stages idle, for others that come close behind it.

        They begin together then; those that come later wait for the step that has begun. 0 if costs are unknown.
        """
        if not self._costs:
            return 0.0
        return _PATIENCE_STEPS * min(self.step_s(1, alone=False), self.step_s(1, alone=True))

    def step_s(self, num_rows: int, *, alone: bool) -> float:
        """Of a step of so many sequences through all stages, in seconds; 0 if costs are unknown."""
        if not self._costs:
            return 0.0
        steps_ms = self._decode_ms(num_rows)
        return (self._alone_ms(steps_ms) if alone else sum(steps_ms)) / 1e3

    def prompt_plan(self, prompts: Sequence[int], position: int, num_decoding: int) -> PromptPlan:
        """A chunk for prompts that have so many rows to come each, the first of them at `position`."""
        if not self._costs:
            return PromptPlan(self._max_batch_tokens, alone=False)
        if num_decoding:
            return self._plan_beside(self.decode_plan(num_decoding), prompts, num_decoding, position)
        num_rows = sum(prompts)
        row_ms = [self._row_ms(stage, position) for stage in range(self._num_stages)]
        even = self._even_rows(num_rows, position)
        num_chunks = -(-num_rows // even)
        piped_ms = (num_chunks - 1) * even * max(row_ms) + even * sum(row_ms) + num_chunks * HOP_MS
        alone_ms = self._alone_ms([num_rows * ms for ms in row_ms])
        if alone_ms < piped_ms:
            return PromptPlan(self._max_batch_tokens, alone=True)
        return PromptPlan(even, alone=False)

    def sent(self, step_id: StepId, num_rows: int, position: float, *, alone: bool) -> None:
        """A chunk went out, with its rows at `position` on average."""
        self._open_chunks[step_id] = num_rows, position, alone
        if len(self._open_chunks) > _MAX_OPEN_CHUNKS:
            self._open_chunks.popitem(last=False)

    def learn(self, timing: StepTiming) -> None:
        """What a step took; those that are no chunks of prompts are left aside."""
        chunk = self._open_chunks.get(timing.id)
        if chunk is None or not self._costs or not 0 <= timing.stage < self._num_stages:
            return
        num_rows, position, alone = chunk
        costs = self._costs[timing.stage]
        step_ms = (timing.end_ns - timing.start_ns) / 1e6 * (costs.alone_speedup if alone else 1.0)
        if num_rows >= _TILE_ROWS:
            self._row_costs[timing.stage].add(position, step_ms / num_rows)
        elif num_rows >= _LEAST_ROWS:
            more_ms = max(0.0, step_ms - _step_ms(costs.decode_ms, num_rows))
            self._reach_costs[timing.stage].add(position, more_ms / num_rows)

    def _best_decode_plan(self, num_sequences: int) -> DecodePlan:
        most_lanes = max(1, min(self._num_stages, num_sequences))
        if not self._costs:
            return DecodePlan(most_lanes, alone=False)
        rounds_ms = {lanes: self._round_ms(lanes, num_sequences) for lanes in range(1, most_lanes + 1)}
        num_lanes = min(rounds_ms, key=lambda lanes: (rounds_ms[lanes], -lanes))
        if _SHARING_GAIN * self._alone_ms(self._decode_ms(num_sequences)) < rounds_ms[num_lanes]:
            return DecodePlan(1, alone=True)
        return DecodePlan(num_lanes, alone=False)

    def _plan_beside(self, decode: DecodePlan, prompts: Sequence[int], num_decoding: int, position: int) -> PromptPlan:
        """A chunk between the steps of sequences that are being decoded.

        It may take about as long as one of their steps will, those included whose prompts it completes: so many
        short prompts begin together.
        """
        ends = list(accumulate(prompts))
        num_rows = min(_LEAST_ROWS, self._max_batch_tokens)
        for more_rows in sorted({min(rows, ends[-1]) for rows in _CHUNK_ROWS if rows <= self._max_batch_tokens}):
            num_begun = num_decoding + bisect_right(ends, more_rows)
            steps_ms = self._decode_ms(-(-num_begun // decode.num_lanes))
            spans_ms = self._chunk_ms(more_rows, position)
            if decode.alone:
                fits = self._alone_ms(spans_ms) <= _CHUNK_STEPS * self._alone_ms(steps_ms)
            else:
                fits = max(spans_ms) <= _CHUNK_STEPS * max(steps_ms)
            if fits:
                num_rows = more_rows
        return PromptPlan(num_rows, alone=decode.alone)

    def _chunk_ms(self, num_rows: int, position: int) -> list[float]:
        """Of a chunk on each stage: of few rows as of a step that decodes, and what was learned beyond that."""
        stages = range(self._num_stages)
        if num_rows >= _TILE_ROWS:
            return [num_rows * self._row_ms(stage, position) for stage in stages]
        more_ms = [num_rows * cost.at(position) if cost.is_known else 0.0 for cost in self._reach_costs]
        return [step_ms + more for step_ms, more in zip(self._decode_ms(num_rows), more_ms, strict=True)]

    def _round_ms(self, num_lanes: int, num_sequences: int) -> float:
        """Until every sequence has its next token, the stages being shared by `num_lanes` microbatches."""
        steps_ms = self._decode_ms(-(-num_sequences // num_lanes))
        return max(num_lanes * max(steps_ms), sum(steps_ms) + self._num_stages * HOP_MS)

    def _alone_ms(self, steps_ms: Sequence[float]) -> float:
        if not any(cost.alone_speedup > 1.0 for cost in self._costs):
            return math.inf
        return sum(self._spans_ms(steps_ms)) + self._num_stages * HOP_MS

    def _spans_ms(self, steps_ms: Sequence[float]) -> list[float]:
        """What steps take that have the stages for themselves."""
        return [step_ms / cost.alone_speedup for step_ms, cost in zip(steps_ms, self._costs, strict=True)]

    def _decode_ms(self, num_rows: int) -> list[float]:
        """Of a step of `num_rows` sequences on each stage; beyond what was measured, along the last slope."""
        return [_step_ms(cost.decode_ms, num_rows) for cost in self._costs]

    def _row_ms(self, stage: int, position: float) -> float:
        learned = self._row_costs[stage]
        return learned.at(position) if learned.is_known else _slope(self._costs[stage].decode_ms)

    def _even_rows(self, num_rows: int, position: int) -> int:
        """Rows at `position` so that all chunks of the prompt take equal time, and the pipeline is best filled.

        With k chunks of r rows over S stages the last row leaves after k + S - 1 steps of (a + b r) ms, a
        being what a step takes without rows; that is least for r = sqrt(a rows / (b (S - 1))).
        """
        if self._num_stages == 1:
            return self._max_batch_tokens
        middle = position + num_rows / 2
        row_ms = max(self._row_ms(stage, middle) for stage in range(self._num_stages))
        empty_ms = HOP_MS + max(_empty_ms(cost.decode_ms) for cost in self._costs)
        best = math.sqrt(empty_ms * num_rows / (row_ms * (self._num_stages - 1)))
        here_ms = max(self._row_ms(stage, position) for stage in range(self._num_stages))
        num_tiles = max(1, int(best * row_ms / here_ms / _TILE_ROWS))
        return min(num_tiles * _TILE_ROWS, self._max_batch_tokens)


def _slope(steps_ms: Points) -> float:
    """Milliseconds for one row more where there are many: over the upper half of what was measured; above zero."""
    last_rows, last_ms = steps_ms[-1]
    rows, step_ms = min(steps_ms, key=lambda point: abs(point[0] - last_rows / 2))
    rise_ms = (last_ms - step_ms) / (last_rows - rows) if rows < last_rows else 0.0
    return max(rise_ms, last_ms / last_rows / 10, 1e-6)


def _empty_ms(steps_ms: Points) -> float:
    """What a step takes that has no rows, to go by those that have."""
    last_rows, last_ms = steps_ms[-1]
    return max(0.0, last_ms - last_rows * _slope(steps_ms))


def _step_ms(steps_ms: Points, num_rows: int) -> float:
    """Between what was measured, and beyond it along the last slope."""
    for (rows, low_ms), (more_rows, high_ms) in pairwise(steps_ms):
        if num_rows < more_rows:
            return low_ms + (high_ms - low_ms) * max(0, num_rows - rows) / (more_rows - rows)
    last_rows, last_ms = steps_ms[-1]
    return last_ms + max(0, num_rows - last_rows) * _slope(steps_ms)
