"""Tensors one after the other along an axis, and elements that move along it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ggml.core.dtypes import PLAIN, promote_types
from ggml.core.errors import ArgumentError, ShapeMismatchError
from ggml.core.node import Node
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.ops.shape.cutting import cut_axis, real_axis
from ggml.ops.shape.views import flatten, listed, reshape, unsqueeze
from ggml.registry.arguments import convert, integer, tensor
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor
from ggml.tensors.transfer import axis


@op(runs="composed", sample="roll", dtypes=PLAIN)
def roll(input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
    """The elements moved along axes; what leaves at one end comes in at the other."""
    x = tensor("roll", input)
    moves = listed(shifts)
    if dims is None or (isinstance(dims, (tuple, list)) and not dims):
        if len(moves) != 1:
            raise ArgumentError("roll", "shifts", "must be one number where dims is not given")
        return reshape(roll(flatten(x), moves[0], 0), tuple(x.shape))
    named = listed(dims)
    if len(moves) != len(named):
        raise ArgumentError("roll", "shifts and dims", f"are {len(moves)} and {len(named)}")
    for shift, dim in zip(moves, named, strict=True):
        at, distance = real_axis("roll", x, dim), integer("roll", shift, "shifts")
        extent = x._node.shape[at]
        place = -distance % extent if extent else 0
        if place:
            x = cat((cut_axis(x, at, place, extent - place), cut_axis(x, at, 0, place)), at)
    return x


def _lower_cat(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    at = params[0]
    outer, inner = math.prod(node.shape[:at]), math.prod(node.shape[at + 1 :])
    joined: Value | None = None
    for value in (b.cast(value, node.dtype.ggml_type) for value in values):
        piece = b.reshape(value, (outer, value.shape[at] * inner))
        if joined is None:
            joined = piece
            continue
        shape = (outer, joined.shape[1] + piece.shape[1])
        sources = (b.operand(joined, joined.shape), b.operand(piece, piece.shape))
        joined = b.emit("concat", sources, piece.type, shape, (0,))
    assert joined is not None
    return joined.reshape_to(node.shape)


@op(runs="ggml", sample="cat", lower=_lower_cat, dtypes=PLAIN, methods=(), widens=False)
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors joined along an axis. Empty ones of a single axis are left out, as in PyTorch."""
    if not isinstance(tensors, (tuple, list)) or not tensors:
        raise ArgumentError("cat", "tensors", "must be a sequence of at least one tensor")
    checked = [tensor("cat", one, "tensors") for one in tensors]
    dtype = checked[0].dtype
    for one in checked[1:]:
        dtype = promote_types(dtype, one.dtype)
    parts = [one for one in checked if one._node.shape != (0,)]
    if not parts:
        return convert(checked[0], dtype)
    first = parts[0]._node.shape
    at = real_axis("cat", parts[0], dim)
    for part in parts:
        shape = part._node.shape
        if len(shape) != len(first) or any(shape[d] != first[d] for d in range(len(first)) if d != at):
            raise ShapeMismatchError("cat", f"shapes equal to {first} but for dim {at}", shape)
    total = sum(part._node.shape[at] for part in parts)
    filled = [part for part in parts if 0 not in part._node.shape]
    shape = (*first[:at], total, *first[at + 1 :])
    if len(filled) == 1:
        return convert(filled[0], dtype)
    return make("cat", tuple(filled or parts), (at,), shape, dtype)


@op(runs="composed", sample="stack", dtypes=PLAIN, methods=())
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape joined along a new axis."""
    if not isinstance(tensors, (tuple, list)) or not tensors:
        raise ArgumentError("stack", "tensors", "must be a sequence of at least one tensor")
    checked = [tensor("stack", one, "tensors") for one in tensors]
    shape = checked[0]._node.shape
    for one in checked:
        if one._node.shape != shape:
            raise ShapeMismatchError("stack", f"shapes equal to {shape}", one._node.shape)
    at = axis("stack", dim, len(shape) + 1)
    return cat([unsqueeze(one, at) for one in checked], at)
