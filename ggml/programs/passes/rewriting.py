"""A graph with some values left out, and others in their places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from ggml.programs.graph import Argument, Graph, Node, Ref, TensorSpec


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


class Rewriter:
    """A graph written anew, node by node, where some values are made of other nodes than before."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._nodes: list[Node] = []
        self._places = {value: value for value in range(len(graph.inputs))}

    def new(self, argument: Argument) -> Argument:
        """An argument of the old graph as the new one has it."""
        return renamed(argument, self._places)

    def emit(self, op: str, args: tuple[Argument, ...], spec: TensorSpec, **named: Argument) -> Ref:
        """One more node, which reads values of the new graph."""
        self._nodes.append(Node(op, args, tuple(named.items()), (spec,)))
        return Ref(len(self.graph.inputs) + len(self._nodes) - 1)

    def keep(self, value: int) -> None:
        """The next node of the old graph, as it is."""
        self._nodes.append(renamed_node(self.graph.nodes[value - len(self.graph.inputs)], self._places))
        self.put(value, Ref(len(self.graph.inputs) + len(self._nodes) - 1))

    def put(self, value: int, made: Ref) -> None:
        """Who read ``value`` of the old graph reads ``made``."""
        self._places[value] = made.value

    def result(self) -> Graph:
        """The new graph. What only old nodes read is dead, and not removed here."""
        outputs = tuple([replace(output, value=self.new(output.value)) for output in self.graph.outputs])
        return replace(self.graph, nodes=tuple(self._nodes), outputs=outputs)


def rewritten(graph: Graph, others: Mapping[int, Callable[[Rewriter], Ref]]) -> Graph:
    """The graph in which functions make some of the values, of what was there before."""
    if not others:
        return graph
    rewriter = Rewriter(graph)
    for value in range(len(graph.inputs), len(graph.inputs) + len(graph.nodes)):
        if value in others:
            rewriter.put(value, others[value](rewriter))
        else:
            rewriter.keep(value)
    return rewriter.result()
