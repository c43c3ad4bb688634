"""Rows that choose the matrix they are multiplied with, as the experts of a mixture do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import F32, I32
from ggml.core.errors import IndexOutOfRangeError, ShapeMismatchError
from ggml.core.node import Node
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.registry.arguments import convert, same_dtype, strictly_floating, tensor
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor


def _lower_chosen(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    rows, matrices, choice = values
    count, width = rows.shape
    # ggml multiplies rows with rows: it wants the matrices transposed, which those of linear layers already are.
    weights = b.dense(matrices.swap(1, 2))
    checked = b.emit("index", (b.operand(choice, (count, 1)),), I32, (count, 1), (weights.shape[0], 0))
    inputs = b.operand(b.cast(rows, F32), (count, 1, width))
    sources = (b.operand(weights, weights.shape), inputs, checked.step)
    return b.emit("mul_mat_id", sources, F32, (count, 1, weights.shape[1]), (1,)).reshape_to(node.shape)


@op(runs="ggml", sample="internal", lower=_lower_chosen, widens=False, on_empty=0.0)
def matmul_chosen(input: Tensor, matrices: Tensor, choice: Tensor) -> Tensor:
    """[S, K] times, for each row, one of the matrices [E, K, N], which ``choice``, integers [S] below E, names."""
    rows, each = strictly_floating("matmul_chosen", input), strictly_floating("matmul_chosen", matrices, "matrices")
    same_dtype("matmul_chosen", rows, each)
    named = convert(tensor("matmul_chosen", choice, "choice"), dtypes.int64)
    shapes = (rows._node.shape, each._node.shape, named._node.shape)
    if [len(shape) for shape in shapes] != [2, 3, 1] or shapes[0] != (shapes[2][0], shapes[1][1]):
        raise ShapeMismatchError("matmul_chosen", "rows [S, K], matrices [E, K, N] and a choice [S]", shapes)
    if math.prod(shapes[0]) and not shapes[1][0]:
        raise IndexOutOfRangeError("matmul_chosen", "there are no matrices")
    return make("matmul_chosen", (rows, each, named), (), (shapes[0][0], shapes[1][2]), rows.dtype)
