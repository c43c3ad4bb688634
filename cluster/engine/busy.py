"""BusyWindow: how busy each stage was of late, from the timings that the stages report."""

from __future__ import annotations

import statistics
from collections import deque

from cluster.api.status import StageActivity
from cluster.messages.step import StepTiming


class BusyWindow:
    """Keeps the last `max_steps` timings of each stage; figures are over the last `window_s` seconds.

    The stages' clocks differ from node to node: a step is placed in the window by when its timing arrived on
    the engine's clock, and only its length is taken from the stage's.
    """

    def __init__(self, num_stages: int, now_s: float, window_s: float = 10.0, max_steps: int = 4096) -> None:
        self._start_s = now_s
        self._window_s = window_s
        self._steps: list[deque[tuple[float, StepTiming]]] = [deque(maxlen=max_steps) for _ in range(num_stages)]
        self._num_steps = [0] * num_stages
        self._num_rows = [0] * num_stages
        self._busy_s = [0.0] * num_stages

    def record(self, timing: StepTiming, now_s: float) -> None:
        """Takes a timing in; one of an unknown stage, or that ends before it starts, is dropped."""
        if 0 <= timing.stage < len(self._steps) and timing.start_ns <= timing.end_ns:
            self._steps[timing.stage].append((now_s, timing))
            self._num_steps[timing.stage] += 1
            self._num_rows[timing.stage] += timing.num_rows
            self._busy_s[timing.stage] += _length_s(timing)

    def activity(self, stage: int, now_s: float) -> StageActivity:
        """Figures of one stage over the window that ends at `now_s`."""
        first_s = self._first_s(stage, now_s)
        recent = [(end_s, step) for end_s, step in self._steps[stage] if end_s > first_s]
        busy_s = sum(min(_length_s(step), end_s - first_s) for end_s, step in recent)
        span_s = now_s - first_s
        return StageActivity(
            busy_fraction=min(1.0, busy_s / span_s) if span_s > 0 else 0.0,
            step_ms=statistics.median(_length_s(step) for _, step in recent) * 1e3 if recent else 0.0,
            num_steps=self._num_steps[stage],
            num_rows=self._num_rows[stage],
            busy_s=self._busy_s[stage],
            wait_ms=statistics.median(_wait_s(step) for _, step in recent) * 1e3 if recent else 0.0,
        )

    def activities(self, now_s: float) -> tuple[StageActivity, ...]:
        """Figures of all stages, in order."""
        return tuple(self.activity(stage, now_s) for stage in range(len(self._steps)))

    def timings(self, stage: int) -> tuple[StepTiming, ...]:
        """The timings kept of a stage, in order of arrival, as the stage reported them."""
        return tuple(timing for _, timing in self._steps[stage])

    def _first_s(self, stage: int, now_s: float) -> float:
        """Where the window begins: no earlier than the first moment of which all steps are still kept."""
        steps = self._steps[stage]
        first_s = max(self._start_s, now_s - self._window_s)
        if len(steps) == steps.maxlen:
            first_s = max(first_s, steps[0][0])
        return first_s


def _length_s(timing: StepTiming) -> float:
    return (timing.end_ns - timing.start_ns) / 1e9


def _wait_s(timing: StepTiming) -> float:
    return max(0, timing.start_ns - timing.received_ns) / 1e9
