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

_SAME_IF_EQUAL = {
    "aten._to_copy.default", "aten.to.dtype", "aten.type_as.default", "aten.expand.default", "aten.view.default",
    "aten.reshape.default", "aten._unsafe_view.default",
}  # fmt: skip


#: Gives its second tensor, in the form of the first one, none of whose numbers are left.
_OVERWRITES = "aten.copy.default"


def without_identities(graph: Graph) -> Graph:
    """The graph without copies, casts to the dtype that is there, reshapes to the shape that is there,
    and sums and products that change no number."""
    specs = [*[one.spec for one in graph.inputs], *[node.spec for node in graph.nodes]]
    stand_ins = {}
    for value, node in enumerate(graph.nodes, len(graph.inputs)):
        source = _source(node)
        if source is not None and _is_identity(node, specs[source], specs[value]):
            stand_ins[value] = source
    return without(graph, stand_ins.keys(), stand_ins, strips=True)


def _source(node: Node) -> int | None:
    """The value that the node gives, if it gives one of those that it takes."""
    place = 1 if node.op == _OVERWRITES else 0
    given = node.args[place] if len(node.args) > place else None
    return given.value if isinstance(given, Ref) else None


def _is_identity(node: Node, before: TensorSpec | None, after: TensorSpec | None) -> bool:
    if node.op == "aten.dropout.default":
        return len(node.args) == 3 and node.args[2] is False
    if before is None or before != after:
        return node.op in _COPIES
    return node.op in _COPIES or node.op in _SAME_IF_EQUAL or node.op == _OVERWRITES or _changes_no_number(node, before)


def _changes_no_number(node: Node, before: TensorSpec) -> bool:
    """``x * 1`` and, of integers, ``x + 0``: of floats that would make 0 of -0."""
    if len(node.args) != 2 or node.kwargs or isinstance(node.args[1], bool):
        return False
    if node.op in ("aten.mul.Tensor", "aten.mul.Scalar"):
        return node.args[1] == 1
    return node.op in ("aten.add.Tensor", "aten.add.Scalar") and before.dtype.is_integer and node.args[1] == 0
