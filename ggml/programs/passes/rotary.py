"""``x * cos + rotate_half(x) * sin`` as one operation: positions that turn pairs of elements."""

from __future__ import annotations

from ggml.core.dtypes import float32
from ggml.programs.graph import Argument, Graph, Node, Ref
from ggml.programs.passes.matching import Values, arguments, matched


def with_rotary(graph: Graph) -> Graph:
    """The graph with ``ggml.rope`` where halves of rows are turned by tables of cosines and sines."""
    return matched(graph, "aten.add.Tensor", _turned)


def _turned(values: Values, node: Node) -> Node | None:
    if len(node.args) != 2 or node.kwargs:
        return None
    for straight, crossed in (node.args, node.args[::-1]):
        first, second = values.maker(straight, "aten.mul.Tensor"), values.maker(crossed, "aten.mul.Tensor")
        if first is None or second is None:
            continue
        for halves, sin in (second.args, second.args[::-1]):
            x = _half_rotated(values, halves)
            if x is None or x not in first.args:
                continue
            cos = first.args[1] if first.args[0] == x else first.args[0]
            if _fit(values, node, x, cos, sin):
                return Node("ggml.rope", (x, cos, sin), specs=node.specs)
    return None


def _half_rotated(values: Values, argument: Argument) -> Argument | None:
    """The ``x`` of ``cat((-x[..., half:], x[..., :half]), -1)``."""
    joined = values.maker(argument, "aten.cat.default")
    given = arguments(joined, ("tensors", None), ("dim", 0)) if joined else None
    parts = given[0] if given else None
    if given is None or not isinstance(parts, tuple) or len(parts) != 2:
        return None
    minus = values.maker(parts[0], "aten.neg.default")
    upper = _slice(values, minus.args[0]) if minus else None
    lower = _slice(values, parts[1])
    if upper is None or lower is None or upper[0] != lower[0]:
        return None
    x, rank, width = upper[0], len(values.shape(upper[0])), (values.shape(upper[0]) or (None,))[-1]
    if not isinstance(width, int) or width % 2 or given[1] not in (-1, rank - 1):
        return None
    half = width // 2
    return x if upper[1:] == (half, width) and lower[1:] == (0, half) else None


def _slice(values: Values, argument: Argument) -> tuple[Argument, int, int] | None:
    """What a slice of the last axis reads, and its bounds."""
    node = values.maker(argument, "aten.slice.Tensor")
    if node is None:
        return None
    given = arguments(node, ("self", None), ("dim", 0), ("start", None), ("end", None), ("step", 1))
    shape = values.shape(node.args[0])
    if given is None or given[4] != 1 or not shape or not isinstance(shape[-1], int):
        return None
    source, dim, start, end, _ = given
    if dim not in (-1, len(shape) - 1) or not all(isinstance(one, int | None) for one in (start, end)):
        return None
    begin, stop, _ = slice(start, end).indices(shape[-1])
    return source, begin, stop


def _fit(values: Values, node: Node, x: Argument, cos: Argument, sin: Argument) -> bool:
    """Float32, tables as wide as the rows, and no larger than ``x``."""
    specs = [values.spec(one) for one in (x, cos, sin)]
    if not isinstance(x, Ref) or any(spec is None or spec.dtype is not float32 for spec in specs):
        return False
    shapes = [values.shape(one) for one in (x, cos, sin)]
    same = all(len(shape) <= len(shapes[0]) and shape and shape[-1] == shapes[0][-1] for shape in shapes)
    return same and node.specs[0].shape == shapes[0] and shapes[1] == shapes[2]
