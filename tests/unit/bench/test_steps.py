"""Busy, bubble, hop, turn and overhead of steps whose times are known."""

from __future__ import annotations

import pytest

from cluster.bench.steps import newest_step, step_figures, steps_after
from cluster.messages.step import StepId, StepTiming

MS = 1_000_000


def step(stage: int, number: int, received_ms: float, start_ms: float, end_ms: float, rows: int = 4) -> StepTiming:
    """A step of lane `number` % 2 in epoch 1."""
    times_ns = [round(value * MS) for value in (start_ms, end_ms, received_ms)]
    return StepTiming(StepId(1, number % 2, number), stage, rows, *times_ns)


# Two lanes through two stages. Stage 0 computes [0,10) [11,21) [26,36), stage 1 [12,22) [24,34) [39,49).
RUN = [
    step(0, 0, 0, 0, 10),
    step(0, 1, 1, 11, 21),  # it lay there while step 0 ran: 1 ms of overhead
    step(0, 2, 25, 26, 36),  # it came when the stage was free: 1 ms
    step(1, 0, 12, 12, 22),  # a hop of 2 ms
    step(1, 1, 24, 24, 34),  # a hop of 3 ms
    step(1, 2, 38, 39, 49),  # a hop of 2 ms, 1 ms of overhead
]


def test_busy_is_a_share_of_the_whole_run() -> None:
    figures = step_figures([RUN], ["here", "here"])
    assert figures.num_steps == 3
    assert figures.busy == pytest.approx((30 / 49, 30 / 49))
    assert figures.bubble == pytest.approx(1 - 30 / 49)


def test_runs_are_pooled() -> None:
    later = [
        StepTiming(t.id, t.stage, t.num_rows, t.start_ns + 10**12, t.end_ns + 10**12, t.received_ns + 10**12)
        for t in RUN
    ]
    twice = step_figures([RUN, later], ["here", "here"])
    assert twice.num_steps == 6
    assert twice.busy == pytest.approx((30 / 49, 30 / 49))  # the pause between the runs does not count


def test_hop_turn_and_overhead() -> None:
    figures = step_figures([RUN], ["here", "here"])
    assert figures.hop_ms is not None
    assert (figures.hop_ms.median, figures.hop_ms.high) == (2, 3)
    assert figures.turn_ms is not None
    assert figures.turn_ms.median == 3  # step 0 ended at 22, step 2 of the same lane was received at 25
    first, second = figures.overhead_ms
    assert first is not None
    assert second is not None
    assert (first.low, first.high) == (1, 1)
    assert (second.low, second.high) == (0, 1)
    assert figures.step_ms[0] is not None
    assert figures.step_ms[0].median == 10
    assert figures.rows is not None
    assert figures.rows.median == 4


def test_clocks_of_two_nodes_are_never_compared() -> None:
    moved = [
        StepTiming(
            t.id, t.stage, t.num_rows, *(time + 10**15 * t.stage for time in (t.start_ns, t.end_ns, t.received_ns))
        )
        for t in RUN
    ]
    figures = step_figures([moved], ["here", "there"])
    assert figures.hop_ms is None
    assert figures.turn_ms is None
    assert figures.busy == pytest.approx((30 / 36, 30 / 37))  # each stage's own span


def test_only_new_steps_with_rows_are_taken() -> None:
    assert newest_step([]) == (-1, -1)
    assert newest_step(RUN) == (1, 2)
    empty = step(0, 3, 50, 50, 50, rows=0)
    assert steps_after([*RUN, empty], (1, 1)) == [RUN[2], RUN[5]]
    assert steps_after([empty], (0, 99)) == []


def test_no_steps_are_no_figures() -> None:
    figures = step_figures([[]], ["here"])
    assert (figures.num_steps, figures.busy, figures.bubble, figures.hop_ms) == (0, (0.0,), 1.0, None)
