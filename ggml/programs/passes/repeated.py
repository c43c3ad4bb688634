"""Nodes that compute what an earlier one has computed."""

from __future__ import annotations

from collections.abc import Hashable

from ggml.programs.graph import Argument, Graph, Ref
from ggml.programs.passes.rewriting import without


def without_repeated(graph: Graph) -> Graph:
    """The graph with each value computed once. No rule draws random numbers, so equal nodes have equal results."""
    first: dict[Hashable, int] = {}
    same: dict[int, int] = {}
    for value, node in enumerate(graph.nodes, len(graph.inputs)):
        named = tuple([(name, _key(argument, same)) for name, argument in node.kwargs])
        key = (node.op, _key(node.args, same), named)
        found = first.setdefault(key, value)
        if found != value:
            same[value] = found
    return without(graph, same.keys(), same)


def _key(argument: Argument, same: dict[int, int]) -> Hashable:
    """Tells 1, 1.0 and True apart, and 0.0 and -0.0, which are equal in Python but not as arguments."""
    if isinstance(argument, Ref):
        return Ref, same.get(argument.value, argument.value)
    if isinstance(argument, tuple):
        return tuple([_key(item, same) for item in argument])
    return type(argument), argument.hex() if isinstance(argument, float) else argument
