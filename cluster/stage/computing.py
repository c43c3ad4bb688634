"""The seam between a stage and what computes its steps, whatever kind of model that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from cluster.messages.program import AnyResult, AnyStep
from cluster.messages.stage import StageCosts
from cluster.messages.step import Float32Array
from cluster.stage.model import StageSizes


@dataclass(frozen=True, slots=True)
class StepOutput:
    """What one step leaves behind: what the next stage gets, with hidden rows [T, E], or the result of the last one."""

    passed: AnyStep | None
    hidden: Float32Array | None
    result: AnyResult | None


class Loaded(Protocol):
    """What is known of a model once it is loaded."""

    @property
    def build(self) -> str:
        """What computes it, and which build of that: all stages of a cluster must have the same."""

    @property
    def hidden_width(self) -> int: ...

    @property
    def picture_width(self) -> int:
        """Of the rows of pictures that it is given, if it takes any."""

    def sizes(self) -> StageSizes:
        """What it takes. Not while it computes."""

    def measure(self) -> StageCosts:
        """Time steps. Nothing is held, before and after."""


class Runner(Protocol):
    """Computes the steps of a stage, which all are of the kind that its model takes. One thread at a time calls it."""

    @property
    def model(self) -> Loaded: ...

    @property
    def kept(self) -> tuple[int, ...] | None:
        """Of what earlier steps left in each slot, how many hidden rows are kept; None: nothing outlives an epoch."""

    def reset(self) -> None:
        """Forget whatever earlier steps left."""

    def run(self, step: Any, hidden: Float32Array | None) -> StepOutput:
        """Compute one step. What is wrong with one request fails that request.

        Whatever is raised means that the stage is unusable.
        """

    def follow(self) -> None:
        """What `run` gave is on its way: begin what the next step may need."""

    def compile(self, grammar: str) -> None:
        """Have a grammar ready. For any thread. UsageError if it cannot be used."""

    def close(self) -> None:
        """Free all memory; it is not called any more."""
