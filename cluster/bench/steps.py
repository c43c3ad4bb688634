"""What the stages' own records of their steps say: busy, bubble, hop, turn, overhead. Pure.

All times are on the clock of the stage's node. Two stages are compared only where they share a node.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from cluster.bench.spread import Spread, spread
from cluster.messages.step import StepTiming

Run = Sequence[StepTiming]  # one repetition, all stages


@dataclass(frozen=True, slots=True)
class StepFigures:
    """Figures of the steps of some runs of one workload."""

    num_steps: int
    busy: tuple[float, ...]  # per stage, share of the run that it computed, 0..1
    bubble: float  # share of all stages' time in which they computed nothing, 0..1
    hop_ms: Spread | None  # end at one stage to received, whole, by the next; None where no two share a node
    turn_ms: Spread | None  # end at the last stage to the moment when the first could begin what followed it
    overhead_ms: tuple[Spread | None, ...]  # per stage: a step lay there, the stage was free, and did not compute
    step_ms: tuple[Spread | None, ...]  # per stage: computing
    rows: Spread | None  # rows of a step


def newest_step(timings: Iterable[StepTiming]) -> tuple[int, int]:
    """(epoch, step) of the last step that was recorded; (-1, -1) if none was."""
    return max(((timing.id.epoch, timing.id.step) for timing in timings), default=(-1, -1))


def steps_after(timings: Iterable[StepTiming], mark: tuple[int, int]) -> list[StepTiming]:
    """The steps that were sent after `newest_step` said `mark`; those without rows, which only free slots, aside."""
    return [timing for timing in timings if (timing.id.epoch, timing.id.step) > mark and timing.num_rows]


def step_figures(runs: Sequence[Run], nodes: Sequence[str]) -> StepFigures:
    """Figures of `runs` together; `nodes` names the node of each stage."""
    stages = range(len(nodes))
    spans_ns = [_spans_ns(run, nodes) for run in runs]
    busy_ns = [sum(_busy_ns(run, stage) for run in runs) for stage in stages]
    total_ns = [sum(spans[stage] for spans in spans_ns) for stage in stages]
    return StepFigures(
        num_steps=sum(timing.stage == 0 for run in runs for timing in run),
        busy=tuple(_share(busy, total) for busy, total in zip(busy_ns, total_ns, strict=True)),
        bubble=1.0 - _share(sum(busy_ns), sum(total_ns)),
        hop_ms=_spread_ms(hop for run in runs for hop in _hops_ns(run, nodes)),
        turn_ms=_spread_ms(turn for run in runs for turn in _turns_ns(run, nodes)),
        overhead_ms=tuple(_spread_ms(gap for run in runs for gap in _gaps_ns(run, stage)) for stage in stages),
        step_ms=tuple(_spread_ms(_lengths_ns(runs, stage)) for stage in stages),
        rows=spread([timing.num_rows for run in runs for timing in run if timing.stage == 0]),
    )


def _of_stage(run: Run, stage: int) -> list[StepTiming]:
    return sorted((timing for timing in run if timing.stage == stage), key=lambda timing: timing.start_ns)


def _spans_ns(run: Run, nodes: Sequence[str]) -> list[int]:
    """Per stage, how long the run was on its node: first step received by any stage there, to the last one's end."""
    spans = []
    for node in nodes:
        there = [timing for timing in run if nodes[timing.stage] == node]
        spans.append(max(t.end_ns for t in there) - min(t.received_ns for t in there) if there else 0)
    return spans


def _busy_ns(run: Run, stage: int) -> int:
    return sum(timing.end_ns - timing.start_ns for timing in run if timing.stage == stage)


def _lengths_ns(runs: Sequence[Run], stage: int) -> list[int]:
    return [timing.end_ns - timing.start_ns for run in runs for timing in run if timing.stage == stage]


def _hops_ns(run: Run, nodes: Sequence[str]) -> list[int]:
    by_name = {(timing.id, timing.stage): timing for timing in run}
    return [
        timing.received_ns - before.end_ns
        for (step, stage), timing in by_name.items()
        if (before := by_name.get((step, stage - 1))) and nodes[stage] == nodes[stage - 1]
    ]


def _turns_ns(run: Run, nodes: Sequence[str]) -> list[int]:
    last = len(nodes) - 1
    if nodes[0] != nodes[last]:
        return []
    ends = {timing.id: timing.end_ns for timing in run if timing.stage == last}
    turns: list[int] = []
    in_lane: dict[int, StepTiming] = {}
    newest: StepTiming | None = None
    for timing in sorted((t for t in run if t.stage == 0), key=lambda t: t.id.step):
        # Sent when the step before it in its lane had been answered, or ahead, to begin after the one before it.
        before = (in_lane.get(timing.id.microbatch), newest)
        over = [ends[step.id] for step in before if step and ends.get(step.id, math.inf) <= timing.received_ns]
        if over:
            turns.append(timing.received_ns - max(over))
        in_lane[timing.id.microbatch] = newest = timing
    return turns


def _gaps_ns(run: Run, stage: int) -> list[int]:
    """From the moment when a step has arrived and the one before it has ended, to its start."""
    steps = _of_stage(run, stage)
    return [after.start_ns - max(before.end_ns, after.received_ns) for before, after in pairwise(steps)]


def _spread_ms(values_ns: Iterable[int]) -> Spread | None:
    return spread([value / 1e6 for value in values_ns])


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
