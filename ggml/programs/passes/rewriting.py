"""A graph with some values left out, and others in their places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

from ggml.programs.graph import Argument, Graph, Node, Ref


def renamed(argument: Argument, places: Mapping[int, int]) -> Argument:
    """An argument whose references are looked up in ``places``."""
    if isinstance(argument, Ref):
        return Ref(places[argument.value])
    if isinstance(argument, tuple):
        return tuple([renamed(item, places) for item in argument])
    return argument


def renamed_node(node: Node, places: Mapping[int, int]) -> Node:
    kwargs = tuple([(name, renamed(argument, places)) for name, argument in node.kwargs])
    return replace(node, args=tuple([renamed(argument, places) for argument in node.args]), kwargs=kwargs)


def without(graph: Graph, dropped: Collection[int], stand_ins: Mapping[int, int], strips: bool = False) -> Graph:
    """The graph without the values in ``dropped``. Who reads one of ``stand_ins`` reads the value named there, which is
    an earlier one. With ``strips`` the nodes are counted among those that lowering had no need to keep."""
    places: dict[int, int] = {}
    stripped = Counter(dict(graph.stripped))
    inputs, nodes = [], []
    kept = 0
    for value in range(len(graph.inputs) + len(graph.nodes)):
        if value in stand_ins:
            places[value] = places[stand_ins[value]]
        elif value not in dropped:
            places[value] = kept
            kept += 1
        if value < len(graph.inputs):
            if value not in dropped:
                inputs.append(graph.inputs[value])
        elif value not in dropped:
            nodes.append(renamed_node(graph.nodes[value - len(graph.inputs)], places))
        elif strips:
            stripped[graph.nodes[value - len(graph.inputs)].op] += 1
    outputs = tuple([replace(output, value=renamed(output.value, places)) for output in graph.outputs])
    return replace(
        graph, inputs=tuple(inputs), nodes=tuple(nodes), outputs=outputs, stripped=tuple(sorted(stripped.items()))
    )
