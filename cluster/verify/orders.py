"""What the children of a comparison are told: a line of JSON."""

from __future__ import annotations

from typing import Any

from cluster.sources.resolve import resolve
from cluster.stage.spec import StageSpec, spec_of_record
from cluster.verify.steps import Step


def ordered_spec(orders: dict[str, Any]) -> StageSpec:
    """The stage to compute."""
    return spec_of_record(orders["spec"], resolve(orders["model"]))


def ordered_steps(orders: dict[str, Any]) -> list[Step]:
    """The steps to compute, in order."""
    return [
        Step(tuple(step["tokens"]), tuple(step["positions"]), tuple(step["slots"]), step["num_encoded"])
        for step in orders["steps"]
    ]
