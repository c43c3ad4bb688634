"""``x * rsqrt(mean(x ** 2) + eps)``, which most language models write out, as one operation, and its scale with it."""

from __future__ import annotations

from ggml.core.dtypes import float32
from ggml.programs.graph import Argument, Graph, Node, Ref
from ggml.programs.passes.matching import Values, arguments, replaced

_NORM = "aten.rms_norm.default"


def with_rms_norms(graph: Graph) -> Graph:
    """The graph with RMS norms of float32 rows as such."""
    values = Values(graph)
    found: dict[int, Node] = {}
    for value, node in enumerate(graph.nodes, len(graph.inputs)):
        if node.op == "aten.mul.Tensor" and len(node.args) == 2:
            norm = _plain(values, node) or _scaled(values, node, found)
            if norm is not None:
                found[value] = norm
    return replaced(graph, found)


def _plain(values: Values, node: Node) -> Node | None:
    """``x * rsqrt(mean(x * x, -1, True) + eps)``, in either order."""
    for x, factor in (node.args, node.args[::-1]):
        spec = values.spec(x)
        root = values.maker(factor, "aten.rsqrt.default")
        if spec is None or not spec.shape or spec.dtype is not float32 or root is None:
            continue
        added = values.maker(root.args[0], "aten.add.Tensor", "aten.add.Scalar")
        eps = added.args[1] if added and len(added.args) == 2 and not added.kwargs else None
        if added is None or type(eps) is not float or not eps >= 0:
            continue
        if _is_mean_square(values, added.args[0], x) and isinstance(spec.shape[-1], int):
            return Node(_NORM, (x, spec.shape[-1:], None, eps), specs=node.specs)
    return None


def _is_mean_square(values: Values, argument: Argument, x: Argument) -> bool:
    mean = values.maker(argument, "aten.mean.dim")
    given = arguments(mean, ("self", None), ("dim", None), ("keepdim", False), ("dtype", None)) if mean else None
    if given is None or given[1] not in ((-1,), (len(values.shape(x)) - 1,)) or given[2] is not True:
        return False
    squared = values.maker(given[0], "aten.pow.Tensor_Scalar", "aten.mul.Tensor", "aten.square.default")
    if squared is None or squared.kwargs or given[3] not in (None, float32):
        return False
    wanted = {"aten.pow.Tensor_Scalar": (x, 2), "aten.mul.Tensor": (x, x), "aten.square.default": (x,)}
    return squared.args == wanted[squared.op]


def _scaled(values: Values, node: Node, found: dict[int, Node]) -> Node | None:
    """A norm without a scale, times a vector as wide as its rows."""
    for x, weight in (node.args, node.args[::-1]):
        norm = found.get(x.value) if isinstance(x, Ref) else None
        norm = norm or values.maker(x, _NORM)
        spec = values.spec(weight)
        if norm is None or spec is None or spec.dtype is not float32 or norm.kwargs or values.spec(x) is None:
            continue
        given = (*norm.args, None, None)[:4]
        if given[2] is None and spec.shape == given[1] and values.spec(x) == node.specs[0]:
            return Node(_NORM, (given[0], given[1], weight, given[3]), specs=node.specs)
    return None
