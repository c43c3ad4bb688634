"""What is under way how long, of pipelines whose clocks differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from cluster.engine.hops import hops_ms
from cluster.messages.step import StepId, StepTiming

HOUR_NS = 3600 * 10**9
MS_NS = 10**6


def pipeline(
    hops_ns: Sequence[int], offsets_ns: Sequence[int], num_steps: int = 60, num_lanes: int = 1, work_ns: int = 2 * MS_NS
) -> list[list[StepTiming]]:
    """Steps through stages of `work_ns` each. `hops_ns[s]` lie in front of stage s; lanes wait for themselves."""
    last = len(hops_ns) - 1
    free_ns = [0] * len(hops_ns)
    answered_ns = [0] * num_lanes
    timings: list[list[StepTiming]] = [[] for _ in hops_ns]
    for step in range(num_steps):
        lane = step % num_lanes
        left_ns = answered_ns[lane]
        for stage, (hop_ns, offset_ns) in enumerate(zip(hops_ns, offsets_ns, strict=True)):
            received_ns = left_ns + hop_ns
            start_ns = max(received_ns, free_ns[stage])
            left_ns = free_ns[stage] = start_ns + work_ns
            moments = (moment + offset_ns for moment in (start_ns, left_ns, received_ns))
            timings[stage].append(StepTiming(StepId(1, lane, step), stage, 1, *moments))
        answered_ns[lane] = left_ns
        assert stage == last
    return timings


@pytest.mark.parametrize("num_lanes", [1, 2, 3])
def test_stages_of_one_node_tell_their_hops_to_the_nanosecond(num_lanes: int) -> None:
    timings = pipeline([3 * MS_NS, MS_NS, 2 * MS_NS], [HOUR_NS] * 3, num_lanes=num_lanes)
    assert hops_ms(timings, ["one"] * 3) == (3.0, 1.0, 2.0)


def test_steps_that_wait_for_the_one_before_though_their_lanes_take_turns() -> None:
    """One stream: each step begins after the newest, and is sent ahead in the other lane."""
    timings = [
        [replace(timing, id=replace(timing.id, microbatch=timing.id.step % 2), waited=True) for timing in stage]
        for stage in pipeline([3 * MS_NS, MS_NS], [0, 0])
    ]
    assert hops_ms(timings, ["one"] * 2) == (3.0, 1.0)


def test_two_nodes_whose_clocks_differ_by_an_hour_share_what_both_ways_take() -> None:
    timings = pipeline([4 * MS_NS, MS_NS, 2 * MS_NS, MS_NS], [0, 0, HOUR_NS, HOUR_NS])
    assert hops_ms(timings, ["one", "one", "two", "two"]) == (3.0, 1.0, 3.0, 1.0)


def test_nothing_is_told_before_a_step_came_back() -> None:
    timings = pipeline([MS_NS, MS_NS], [0, 0], num_steps=1)
    assert hops_ms(timings, ["one", "one"]) == (0.0, 0.0)
    assert hops_ms([[], []], ["one", "two"]) == (0.0, 0.0)


def test_a_single_stage_tells_how_long_the_coordinator_takes() -> None:
    assert hops_ms(pipeline([2 * MS_NS], [0]), ["one"]) == (2.0,)


def test_steps_that_a_stage_no_longer_keeps_are_no_trouble() -> None:
    timings = pipeline([MS_NS, 3 * MS_NS], [0, 0])
    assert hops_ms([timings[0][-20:], timings[1][-50:-3]], ["one", "one"]) == (1.0, 3.0)
