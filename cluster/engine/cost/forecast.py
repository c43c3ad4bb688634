"""How many tokens a second a pipeline will make, from the times of its stages. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    """Decode rates at short contexts, with the plan of `engine.pace` that gives most tokens."""

    one_request_tokens_per_s: float
    all_slots_tokens_per_s: float
    num_microbatches: int  # that share the pipeline with all slots in use
    rows_per_microbatch: int
    alone: bool  # one microbatch has all cores of a host to itself
    bottleneck: int  # a stage
    cause: str  # what it spends its time on


Times = Callable[[int], Sequence[StepTime]]  # rows of a microbatch -> what it costs on each stage


def rows_per_microbatch(num_slots: int, num_stages: int) -> int:
    """Of a full pipeline: slots are divided among as many microbatches as there are stages."""
    return -(-num_slots // min(num_slots, num_stages))


def forecast(alone: Times, full: Times, num_slots: int) -> Forecast:
    """`alone`: times of stages that work in turn; `full`: while all of them work.

    A lone request waits for all stages in turn. With several microbatches on their way, each stage works on all
    of them once per token: a round takes as long as the slowest stage needs for all, but no less than one
    microbatch's way through all stages.
    """
    lanes = range(1, min(num_slots, len(full(1))) + 1)
    rounds = {lane: _round_s(full(-(-num_slots // lane)), lane) for lane in lanes}
    best = min(rounds, key=lambda lane: (rounds[lane], -lane))
    alone_s = _total_s(alone(num_slots))
    is_alone = alone_s < rounds[best]
    num_microbatches = 1 if is_alone else best
    num_rows = -(-num_slots // num_microbatches)
    times = (alone if is_alone else full)(num_rows)
    slowest = max(range(len(times)), key=lambda stage: times[stage].total_s)
    return Forecast(
        one_request_tokens_per_s=1 / _total_s(alone(1)),
        all_slots_tokens_per_s=num_slots / min(alone_s, rounds[best]),
        num_microbatches=num_microbatches,
        rows_per_microbatch=num_rows,
        alone=is_alone,
        bottleneck=slowest,
        cause=times[slowest].cause,
    )


def _round_s(times: Sequence[StepTime], num_microbatches: int) -> float:
    return max(num_microbatches * max(time.total_s for time in times), _total_s(times))


def _total_s(times: Sequence[StepTime]) -> float:
    return sum(time.total_s for time in times)
