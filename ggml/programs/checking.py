"""What the parts of a graph say together: nothing runs before all of this holds."""

from __future__ import annotations

from typing import NoReturn

from ggml.core.errors import FileFormatError
from ggml.programs.graph import Graph, Ref, Role, read_by, references
from ggml.programs.rules import RULES, signature_of

# Hundreds of times what the largest models have.
MAX_NODES = 1 << 20


def check(graph: Graph, path: str) -> None:
    """FileFormatError, which names ``path`` and the part, for the first thing that cannot be."""
    _Check(graph, path).all()


class _Check:
    def __init__(self, graph: Graph, path: str) -> None:
        self.graph, self.path = graph, path

    def fail(self, field: str, why: str) -> NoReturn:
        raise FileFormatError(self.path, field, why)

    def all(self) -> None:
        self.names()
        self.inputs()
        for place in range(len(self.graph.nodes)):
            self.node(place)
        self.outputs()

    def names(self) -> None:
        if len(self.graph.nodes) > MAX_NODES:
            self.fail("nodes", f"are {len(self.graph.nodes)}; at most {MAX_NODES} are possible")
        for field, names in (
            ("symbols", [one.name for one in self.graph.symbols]),
            ("inputs", [one.name for one in self.graph.users]),
            ("weights", [one.name for one in self.graph.held]),
            ("states", [one.name for one in self.graph.outputs if one.role is Role.STATE]),
        ):
            if len(set(names)) != len(names):
                self.fail(field, "have a name twice")

    def inputs(self) -> None:
        users = self.graph.users
        tree = self.graph.in_tree
        if tree.kind != "tuple" or [item.kind for item in tree.items] != ["tuple", "dict"]:
            self.fail("in_tree", "is not a pair of arguments and named arguments")
        if tree.num_leaves != len(users):
            self.fail("in_tree", f"has {tree.num_leaves} leaves for {len(users)} inputs")
        for one in self.graph.inputs:
            is_fixed = one.spec is None or all(isinstance(extent, int) for extent in one.spec.shape)
            if one.role is not Role.USER and not is_fixed:
                self.fail(f"inputs {one.name!r}", "is a tensor of the file whose shape differs between calls")

    def node(self, place: int) -> None:
        node, field = self.graph.nodes[place], f"nodes[{place}]"
        if node.op not in RULES:
            self.fail(field, f"names {node.op[:60]!r}, for which there is no rule")
        value = len(self.graph.inputs) + place
        if any(read >= value for read in read_by(node)):
            self.fail(field, f"reads a value that is not there before value {value}")
        names = [name for name, _ in node.kwargs]
        if len(set(names)) != len(names):
            self.fail(field, "has an argument twice")
        try:
            signature_of(node.op).bind(*node.args, **dict(node.kwargs))
        except TypeError as error:
            self.fail(field, f"gives {node.op} other arguments than it takes: {error}")
        if not node.is_tuple and len(node.specs) > 1:
            self.fail(field, "has several results that are no tuple")

    def outputs(self) -> None:
        graph = self.graph
        states = {one.name for one in graph.inputs if one.role is Role.STATE}
        count = len(graph.inputs) + len(graph.nodes)
        for place, output in enumerate(graph.outputs):
            field = f"outputs[{place}]"
            if any(value >= count for value in references(output.value)):
                self.fail(field, f"is none of {count} values")
            if output.role is Role.WEIGHT:
                self.fail(field, "writes a weight")
            if output.role is Role.STATE and (output.name not in states or not isinstance(output.value, Ref)):
                self.fail(field, f"is no tensor for a state of the name {output.name!r}")
        if {one.name for one in graph.outputs if one.role is Role.STATE} != states:
            self.fail("outputs", "leave out a state")
        users = sum(one.role is Role.USER for one in graph.outputs)
        if graph.out_tree.num_leaves != users:
            self.fail("out_tree", f"has {graph.out_tree.num_leaves} leaves for {users} outputs")
