"""The same call through the slices of a program, through all of it at once, and through the cluster that is up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cluster.api.errors import error_named
from cluster.messages.program import Array, Arrays, ProgramResult, ProgramStep
from cluster.messages.step import StepId
from cluster.planning.programs.inventory import ProgramInventory
from cluster.planning.programs.plan import plan_program
from cluster.stage.loading import load_stage
from cluster.stage.models.arrays import array_of
from cluster.stage.spec import StageSpec
from cluster.verify.compare import Comparison, Finding
from ggml.programs.drawn import drawn
from ggml.programs.graph import Graph

NUM_CALLS = 3


@dataclass(frozen=True, slots=True)
class ProgramVerification:
    """What came out: the split, beside the whole program."""

    stages: tuple[StageSpec, ...]
    given: tuple[Arrays, ...]
    split: tuple[Arrays, ...]
    comparison: Comparison


def verify_program(
    found: ProgramInventory, bounds: tuple[int, ...], note: Callable[[str], None]
) -> ProgramVerification:
    """Compute the same calls both ways. `bounds`: where a living cluster is cut. Errors as for `plan_program`."""
    plan = plan_program(found, bounds)
    graph = found.model.graph
    given = tuple(_drawn(graph, seed) for seed in range(NUM_CALLS))
    split: list[Arrays] = list(given)
    for stage in plan.stages:
        note(f"computing units [{stage.first}, {stage.end}) on {stage.device}")
        split = _computed(stage, graph, split)
    note("computing the whole program")
    alone = replace(plan.stages[0], stage=0, num_stages=1, first=0, end=found.model.num_layers)
    whole = _computed(alone, graph, given)
    return ProgramVerification(plan.stages, given, tuple(split), compare_arrays("the whole program", whole, split))


def compare_arrays(against: str, one: Any, other: Any) -> Comparison:
    """The arrays of some calls, name by name."""
    findings = [
        _finding(f"call {number}: {name}", left[name], right[name])
        for number, (left, right) in enumerate(zip(one, other, strict=True))
        for name in left
    ]
    return Comparison(against, tuple(findings), 0, 0)


def _finding(what: str, one: Array, other: Array) -> Finding:
    same_form = (one.dtype, one.shape) == (other.dtype, other.shape)
    is_equal = same_form and np.array_equal(one.data, other.data)
    return Finding(what, bool(is_equal), 0.0 if is_equal else _max_delta(one, other) if same_form else None)


def _max_delta(one: Array, other: Array) -> float:
    left, right = (side.numpy().astype(np.float64) for side in (one, other))
    return float(np.abs(left - right).max(initial=0.0))


def _drawn(graph: Graph, seed: int) -> Arrays:
    """Random numbers in the shapes of the example."""
    return {name: array_of(tensor) for name, tensor in drawn(graph, seed).items()}


def _computed(spec: StageSpec, graph: Graph, calls: Any) -> list[Arrays]:
    made = []
    with closing(load_stage(spec, lambda phase, fraction: None)) as runner:
        for number, arrays in enumerate(calls):
            output = runner.run(ProgramStep(StepId(1, 0, number), graph.hints, arrays), None)
            left = output.result if output.passed is None else output.passed
            assert isinstance(left, ProgramStep | ProgramResult), "it computes units of a program"
            if left.failure is not None:
                raise error_named(left.failure.kind, left.failure.reason)
            made.append(left.arrays)
    return made


def compare_live_program(
    done: ProgramVerification, run: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> Comparison:
    """What the cluster that is up gives for the same calls, by its client's `run`. UsageError for a bfloat16 input."""
    live = [run({name: one.numpy() for name, one in call.items()}) for call in done.given]
    split = [{name: Array.of(one.numpy()) for name, one in call.items()} for call in done.split]
    return compare_arrays("the cluster that is up", split, [_arrays(one) for one in live])


def _arrays(made: Mapping[str, Any]) -> Arrays:
    return {name: Array.of(one) for name, one in made.items()}
