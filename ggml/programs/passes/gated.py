"""``silu(gate) * up`` as one operation, which goes through memory once."""

from __future__ import annotations

from ggml.core.dtypes import float32
from ggml.programs.graph import Graph, Node
from ggml.programs.passes.matching import Values, arguments, matched

# The activation, with what it takes behind its input, and the gated unit of it.
_UNITS = {"aten.silu.default": "ggml.swiglu", "aten.gelu.default": "ggml.geglu"}


def with_gated_units(graph: Graph) -> Graph:
    """The graph with ``ggml.swiglu`` and ``ggml.geglu`` where an activation's result is multiplied with a tensor of
    its shape."""
    return matched(graph, "aten.mul.Tensor", _unit)


def _unit(values: Values, node: Node) -> Node | None:
    if len(node.args) != 2:
        return None
    for gate, up in (node.args, node.args[::-1]):
        made = values.maker(gate, *_UNITS)
        spec = values.spec(gate)
        if (
            made is None
            or spec is None
            or spec.dtype is not float32
            or spec != values.spec(up)
            or spec != node.specs[0]
        ):
            continue
        given = arguments(made, ("self", None), ("approximate", "none"))
        if given is not None and given[1] == "none":
            return Node(_UNITS[made.op], (given[0], up), specs=node.specs)
    return None
