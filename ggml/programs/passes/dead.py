"""Values that no output needs."""

from __future__ import annotations

from ggml.programs.graph import Graph, Role, read_by, references
from ggml.programs.passes.rewriting import without


def without_dead(graph: Graph) -> Graph:
    """The graph without nodes and weights that no output reads. Users' inputs and states stay."""
    needed = {value for output in graph.outputs for value in references(output.value)}
    for place in range(len(graph.nodes) - 1, -1, -1):
        if len(graph.inputs) + place in needed:
            needed.update(read_by(graph.nodes[place]))
    needed.update(place for place, one in enumerate(graph.inputs) if one.role is not Role.WEIGHT)
    unneeded = set(range(len(graph.inputs) + len(graph.nodes))) - needed
    return without(graph, unneeded, {})
