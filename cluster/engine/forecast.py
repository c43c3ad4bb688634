"""How many tokens a second a pipeline will make, from the times of its stages. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepTime:
    """What one microbatch costs on one stage, in seconds. Set by the planner from measured paces."""

    read_s: float  # weights, and the arithmetic with them
    draw_s: float = 0.0  # tokens, on the last stage
    hop_s: float = 0.0  # passing rows on, on all but the last stage

    @property
    def total_s(self) -> float:
        return self.read_s + self.draw_s + self.hop_s

    @property
    def cause(self) -> str:
        """What most of it is."""
        parts = {"reading weights": self.read_s, "drawing tokens": self.draw_s, "the link": self.hop_s}
        return max(parts, key=lambda name: parts[name])


@dataclass(frozen=True, slots=True)
class Forecast:
    """Decode rates at short contexts. `bottleneck` is a stage number, `cause` what it spends its time on."""

    one_request_tokens_per_s: float
    all_slots_tokens_per_s: float
    rows_per_microbatch: int  # with all slots in use
    bottleneck: int
    cause: str


def rows_per_microbatch(num_slots: int, num_stages: int) -> int:
    """Slots are divided among as many microbatches as there are stages."""
    return -(-num_slots // min(num_slots, num_stages))


def forecast(alone: Sequence[StepTime], full: Sequence[StepTime], num_slots: int) -> Forecast:
    """`alone`: stages' times for one row; `full`: for `rows_per_microbatch` rows, one for each stage.

    A lone request waits for all stages in turn. With several microbatches on their way, each stage works on all
    of them once per token: a round takes as long as the slowest stage needs for all, but no less than one
    microbatch's way through all stages.
    """
    num_microbatches = min(num_slots, len(full))
    slowest = max(range(len(full)), key=lambda stage: full[stage].total_s)
    round_s = max(num_microbatches * full[slowest].total_s, sum(time.total_s for time in full))
    return Forecast(
        one_request_tokens_per_s=1 / sum(time.total_s for time in alone),
        all_slots_tokens_per_s=num_slots / round_s,
        rows_per_microbatch=rows_per_microbatch(num_slots, len(full)),
        bottleneck=slowest,
        cause=full[slowest].cause,
    )
