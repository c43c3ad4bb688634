"""A graph as passes look at it: which node made a value, and what is known of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from ggml.programs.expressions import Extent
from ggml.programs.graph import Argument, Graph, Node, Ref, TensorSpec, read_by, references


class Values:
    """The values of a graph, by number."""

    def __init__(self, graph: Graph) -> None:
        self.num_inputs = len(graph.inputs)
        self.nodes = graph.nodes
        self._specs: list[TensorSpec | None] = [one.spec for one in graph.inputs]
        self._specs += [node.spec for node in graph.nodes]
        self.num_readers = Counter(value for node in graph.nodes for value in read_by(node))
        self.num_readers.update(value for output in graph.outputs for value in references(output.value))

    def maker(self, argument: Argument, *ops: str) -> Node | None:
        """The node that made the value, if it is one of these operations."""
        if not isinstance(argument, Ref) or argument.value < self.num_inputs:
            return None
        node = self.nodes[argument.value - self.num_inputs]
        return node if node.op in ops else None

    def spec(self, argument: Argument) -> TensorSpec | None:
        """What is known of a value that is one tensor."""
        return self._specs[argument.value] if isinstance(argument, Ref) else None

    def shape(self, argument: Argument) -> tuple[Extent, ...]:
        """The shape of a value that is one tensor; () for everything else."""
        spec = self.spec(argument)
        return () if spec is None else spec.shape


def arguments(node: Node, *defaults: tuple[str, Argument]) -> tuple[Argument, ...] | None:
    """What the node takes, by the names and defaults of its operation, which may be given by place or by name. None
    where there is something else, or too much."""
    given = dict(node.kwargs)
    if len(node.args) > len(defaults) or given.keys() - {name for name, _ in defaults[len(node.args) :]}:
        return None
    return (*node.args, *[given.get(name, default) for name, default in defaults[len(node.args) :]])


def matched(graph: Graph, op: str, make: Callable[[Values, Node], Node | None]) -> Graph:
    """The graph with what ``make`` gives in the place of each node of this operation; None leaves it as it is."""
    values = Values(graph)
    made = {value: make(values, node) for value, node in enumerate(graph.nodes, len(graph.inputs)) if node.op == op}
    return replaced(graph, {value: node for value, node in made.items() if node is not None})


def replaced(graph: Graph, others: Mapping[int, Node]) -> Graph:
    """The graph with other nodes for some values. What only the old ones read is dead, and not removed here."""
    first = len(graph.inputs)
    nodes = tuple([others.get(value, node) for value, node in enumerate(graph.nodes, first)])
    return replace(graph, nodes=nodes) if others else graph
