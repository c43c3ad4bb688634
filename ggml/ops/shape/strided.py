"""Elements at the places of a pattern of strides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ggml.core.dtypes import PLAIN
from ggml.core.errors import ArgumentError
from ggml.core.node import Node, Shape
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.ops.shape.cutting import strided_slice
from ggml.ops.shape.permuting import movedim
from ggml.ops.shape.views import flatten, reshape
from ggml.registry.arguments import integer, tensor
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor
from ggml.tensors.transfer import axis


def _lower_strided(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    flat = b.dense(values[0])
    return replace(flat, shape=node.shape, strides=params[0], offset=flat.offset + params[1])


@op(runs="view", sample="internal", lower=_lower_strided, dtypes=PLAIN, methods=(), widens=False)
def strided(input: Tensor, size: Shape, stride: tuple[int, ...], storage_offset: int) -> Tensor:
    """Any pattern over the elements of a tensor; the caller has checked that it stays inside."""
    return make("strided", (input,), (stride, storage_offset), size, input._node.dtype)


@op(runs="composed", sample="diagonal", dtypes=PLAIN)
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of the matrices in two axes, as the last axis."""
    x = tensor("diagonal", input)
    first, second = axis("diagonal", dim1, x.ndim), axis("diagonal", dim2, x.ndim)
    if first == second or x.ndim < 2:
        raise ArgumentError("diagonal", "dim1 and dim2", "must be two different axes")
    moved = movedim(x, (first, second), (-2, -1))
    shift, (*outer, rows, columns) = integer("diagonal", offset, "offset"), moved._node.shape
    row, column = max(-shift, 0), max(shift, 0)
    length = max(min(rows - row, columns - column), 0)
    if length == 0 or 0 in outer:
        return make("expand", (reshape(flatten(x), (-1,)) if x.numel() else x,), (), (*outer, length), x.dtype)
    flat = reshape(moved, (math.prod(outer), rows * columns))
    start = row * columns + column
    picked = strided_slice(flat, (0, start), (1, columns + 1), (flat.shape[0], length))
    return reshape(picked, (*outer, length))
