"""Running sums and products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import PLAIN, DType
from ggml.core.node import Node
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.ops.reduce.reductions import accumulated
from ggml.registry.arguments import convert
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor
from ggml.tensors.transfer import axis


def _scan(name: str, text: str) -> Callable[..., Tensor]:
    def lower(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
        if not node.shape:
            return values[0]
        at, last = params[0], len(node.shape) - 1
        return b.row_kernel("scan", name, b.dense(values[0].swap(at, last))).swap(at, last)

    def function(input: Tensor, dim: int, *, dtype: DType | None = None) -> Tensor:
        x = accumulated(name, input, dtype)
        at = axis(name, dim, x.ndim)
        wide = convert(x, dtypes.int64) if x.dtype is dtypes.int32 else x
        return convert(make(name, (wide,), (at,), wide._node.shape, wide._node.dtype), x.dtype)

    function.__name__, function.__doc__ = name, text
    return op(runs="kernel", sample="scan", lower=lower, dtypes=PLAIN, inplace=True)(function)


cumsum = _scan("cumsum", "The sum of the elements up to each one, along ``dim``.")


cumprod = _scan("cumprod", "The product of the elements up to each one, along ``dim``.")
