"""Operations that give the tensor they are given: copies, and what only matters in training."""

from __future__ import annotations

from ggml.programs.graph import Graph, Node, Ref, TensorSpec
from ggml.programs.passes.rewriting import without

# No tensor changes within a program, so that a copy is as good as the tensor.
_COPIES = {
    "aten.clone.default",
    "aten.alias.default",
    "aten.contiguous.default",
    "aten.detach.default",
    "aten.detach_.default",
    "aten.lift_fresh_copy.default",
    "aten.dropout.default",
}

_SAME_IF_EQUAL = {"aten._to_copy.default", "aten.expand.default", "aten.view.default", "aten.reshape.default"}


def without_identities(graph: Graph) -> Graph:
    """The graph without copies, casts to the dtype that is there, and reshapes to the shape that is there."""
    specs: list[TensorSpec | None] = [one.spec for one in graph.inputs]
    specs += [None if node.is_tuple or len(node.specs) != 1 else node.specs[0] for node in graph.nodes]
    stand_ins = {}
    for value, node in enumerate(graph.nodes, len(graph.inputs)):
        if node.args and isinstance(node.args[0], Ref) and _is_identity(node, specs[node.args[0].value], specs[value]):
            stand_ins[value] = node.args[0].value
    return without(graph, stand_ins.keys(), stand_ins, strips=True)


def _is_identity(node: Node, before: TensorSpec | None, after: TensorSpec | None) -> bool:
    if node.op == "aten.dropout.default":
        return len(node.args) == 3 and node.args[2] is False
    return node.op in _COPIES or (node.op in _SAME_IF_EQUAL and before is not None and before == after)
