"""How much a node computes, from shapes alone: a multiplication and an addition are one operation each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from ggml.programs.expressions import extents
from ggml.programs.graph import Graph, Node, Ref, references

Shape = tuple[int, ...]

#: The shapes of a node's arguments, None for what is no tensor, and that of its first result.
Count = Callable[[Sequence[Shape | None], Shape], int]

# What only moves elements, or says where they lie.
_MOVING = frozenset(
    [
        "_to_copy",
        "_unsafe_view",
        "alias",
        "arange",
        "as_strided",
        "broadcast_to",
        "cat",
        "chunk",
        "clone",
        "constant_pad_nd",
        "contiguous",
        "copy",
        "diagonal",
        "embedding",
        "empty",
        "expand",
        "expand_as",
        "eye",
        "flatten",
        "flip",
        "full",
        "full_like",
        "gather",
        "getitem",
        "index",
        "index_put",
        "index_select",
        "lift_fresh_copy",
        "movedim",
        "narrow",
        "new_full",
        "new_ones",
        "new_zeros",
        "ones",
        "ones_like",
        "pad",
        "permute",
        "pixel_shuffle",
        "pixel_unshuffle",
        "ravel",
        "repeat",
        "repeat_interleave",
        "reshape",
        "roll",
        "scalar_tensor",
        "select",
        "select_scatter",
        "slice",
        "slice_scatter",
        "split",
        "split_with_sizes",
        "squeeze",
        "stack",
        "t",
        "take_along_dim",
        "tile",
        "to",
        "transpose",
        "tril",
        "triu",
        "type_as",
        "unbind",
        "unflatten",
        "unfold",
        "unsqueeze",
        "view",
        "view_as",
        "where",
        "zeros",
        "zeros_like",
    ]
)


def flops(graph: Graph) -> list[int]:
    """What each node computes for the shapes of the example, in the order of the nodes."""
    symbols = graph.hints
    shapes: list[Shape | None] = [extents(one.spec.shape, symbols) if one.spec else None for one in graph.inputs]
    found = []
    for node in graph.nodes:
        own = [extents(spec.shape, symbols) for spec in node.specs]
        given = list(_shapes(node, shapes))
        try:
            found.append(_count(node, given, own[0] if own else ()))
        except (IndexError, TypeError):  # a file may have other arguments than the operation takes: its rule says so
            found.append(0)
        shapes.append(own[0] if len(own) == 1 and not node.is_tuple else None)
    return found


def _shapes(node: Node, shapes: Sequence[Shape | None]) -> Iterator[Shape | None]:
    """The shapes of the arguments, those in lists one by one behind each other."""
    for argument in (*node.args, *[argument for _, argument in node.kwargs]):
        if isinstance(argument, (Ref, tuple)) and any(True for _ in references(argument)):
            yield from (shapes[value] for value in references(argument))
        else:
            yield None


def _count(node: Node, given: Sequence[Shape | None], result: Shape) -> int:
    name = node.op.split(".")[1]
    if name in _MOVING:
        return 0
    if name == "convolution":
        is_transposed = len(node.args) > 6 and node.args[6] is True
        return (_scattered if is_transposed else _convolved)(given, result)
    special = _COUNTS.get(name)
    if special is not None:
        return special(given, result)
    if name == "einsum":
        return _einsum(str(node.args[0]), [one for one in given if one is not None], result)
    # What goes element by element, and what makes one of many.
    return max([math.prod(result), *[math.prod(one) for one in given[:1] if one is not None]])


def _product(at: int) -> Count:
    """Each element of the result is a sum over the last axis of the argument at a place."""

    def count(given: Sequence[Shape | None], result: Shape) -> int:
        left = given[at] or (1,)
        return 2 * math.prod(result) * left[-1]

    return count


def _convolved(given: Sequence[Shape | None], result: Shape) -> int:
    """Each element of the result is a sum over a filter [out, in, ...]."""
    weight = given[1] or (1,)
    return 2 * math.prod(result) * math.prod(weight[1:])


def _scattered(given: Sequence[Shape | None], result: Shape) -> int:
    """Each element of the input is spread by a filter [in, out, ...]."""
    x, weight = given[0] or (), given[1] or (1,)
    return 2 * math.prod(x) * math.prod(weight[1:])


def _attended(given: Sequence[Shape | None], result: Shape) -> int:
    """Queries [..., L, E] with keys [..., S, E], and the weights with values [..., S, V]."""
    query, key = given[0] or (1, 1), given[1] or (1, 1)
    return 2 * math.prod(query[:-1]) * key[-2] * (query[-1] + result[-1])


def _recurrent(given: Sequence[Shape | None], result: Shape) -> int:
    """Each step of each sequence meets all weights once."""
    weights = sum(math.prod(one) for one in given[1:] if one is not None and len(one) == 2)
    return 2 * math.prod((given[0] or (1,))[:-1]) * weights


def _einsum(equation: str, given: Sequence[Shape], result: Shape) -> int:
    """As many products as there are places of all its letters together; a lone operand is only summed."""
    sizes: dict[str, int] = {}
    for labels, shape in zip(equation.replace(" ", "").partition("->")[0].split(","), given, strict=False):
        if "." in labels or len(labels) != len(shape):
            return 2 * math.prod(result)
        sizes.update(zip(labels, shape, strict=True))
    return math.prod(sizes.values()) * min(2, len(given))


_COUNTS: dict[str, Count] = {
    **dict.fromkeys(("linear", "matmul", "mm", "bmm", "mv", "dot", "_grouped_mm", "grouped_mm_fallback"), _product(0)),
    **dict.fromkeys(("addmm", "baddbmm", "addmv"), _product(1)),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _convolved),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _scattered),
    "scaled_dot_product_attention": _attended,
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), _recurrent),
}
