"""How long what stages send is under way, from the timings of stages whose clocks may differ."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise

from cluster.messages.step import StepId, StepTiming


def hops_ms(timings: Sequence[Sequence[StepTiming]], nodes: Sequence[str]) -> tuple[float, ...]:
    """Per stage, the median time from the end of a step on the stage before it to its arrival here; 0 if unknown.

    The first stage's is the way back: from the end of a step on the last stage to the arrival of the step that waited
    for its answer. `timings` are those of each stage on the clock of its node, `nodes` the nodes. Stages of one node
    share a clock. Between nodes only the sum around the ring is free of what the clocks differ by: their links get
    equal shares of the least such sum, as the Network Time Protocol halves a round trip.
    """
    last = len(nodes) - 1
    steps = [{timing.id: timing for timing in stage} for stage in timings]
    turns = _turns(steps[0], steps[last])
    apparent = [[timing.received_ns - end_ns for timing, end_ns in turns]]
    apparent += [
        [timing.received_ns - before[step].end_ns for step, timing in here.items() if step in before]
        for before, here in pairwise(steps)
    ]
    if not all(apparent):
        return (0.0,) * len(nodes)
    offsets = _offsets_ns([min(differences) for differences in apparent], nodes)
    shown = [[each - offset for each in differences] for differences, offset in zip(apparent, offsets, strict=True)]
    return tuple(max(0.0, statistics.median(differences) / 1e6) for differences in shown)


def _offsets_ns(least: Sequence[int], nodes: Sequence[str]) -> list[float]:
    """By how much each stage's clock is ahead of that of the stage before it, where their least differences are so."""
    is_far = [node != nodes[stage - 1] for stage, node in enumerate(nodes)]
    if not any(is_far):
        return [0.0] * len(nodes)
    near = sum(difference for difference, far in zip(least, is_far, strict=True) if not far)
    share = max(0.0, (sum(least) - near) / sum(is_far))
    return [difference - share if far else 0.0 for difference, far in zip(least, is_far, strict=True)]


def _turns(first: Mapping[StepId, StepTiming], last: Mapping[StepId, StepTiming]) -> list[tuple[StepTiming, int]]:
    """Steps of the first stage, and the end on the last one of the step that each waited for.

    A step is sent when the one before it in its lane was answered, or ahead, to begin after the newest one.
    """
    turns: list[tuple[StepTiming, int]] = []
    in_lane: dict[int, StepTiming] = {}
    newest: StepTiming | None = None
    for timing in sorted(first.values(), key=lambda timing: (timing.id.epoch, timing.id.step)):
        before = newest if timing.waited else in_lane.get(timing.id.microbatch)
        if before is not None and before.id in last and before.id.epoch == timing.id.epoch:
            turns.append((timing, last[before.id].end_ns))
        in_lane[timing.id.microbatch] = newest = timing
    return turns
