"""What each unit of a program takes: its weights, its states, and how much it has to compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ggml.programs.flops import flops
from ggml.programs.graph import Graph, Role, read_by
from ggml.programs.slices.lifetimes import state_spans
from ggml.programs.slices.places import Place, num_bytes_of


@dataclass(frozen=True, slots=True)
class UnitSizes:
    """One unit. ``work`` is what a call of the example's shapes computes, as ``flops`` counts it."""

    weight_bytes: int
    state_bytes: int
    work: int


def unit_sizes(graph: Graph, places: Sequence[Place], stored_bytes: dict[str, int]) -> tuple[UnitSizes, ...]:
    """Those of all units. ``stored_bytes``: what each weight takes as it is stored. One that several units read counts
    in the first of them."""
    bounds = [0, *(place.node for place in places), len(graph.nodes)]
    spans = state_spans(graph)
    states = {one.name: one.spec for one in graph.inputs if one.role is Role.STATE and one.spec is not None}
    computed = flops(graph)
    seen: set[int] = set()
    found = []
    for begin, end in pairwise(bounds):
        nodes = graph.nodes[begin:end]
        read = {value for node in nodes for value in read_by(node) if value < len(graph.inputs)}
        fresh = {value for value in read - seen if graph.inputs[value].role is Role.WEIGHT}
        seen |= fresh
        here = [spec for name, spec in states.items() if begin <= spans[name][0] < end]
        found.append(
            UnitSizes(
                sum(stored_bytes[graph.inputs[value].name] for value in fresh),
                sum(num_bytes_of(spec, ()) for spec in here),
                sum(computed[begin:end]),
            )
        )
    return tuple(found)
