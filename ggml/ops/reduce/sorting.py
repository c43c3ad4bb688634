"""Order. Sorting is stable, and a NaN is greater than any number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import NUMERIC, PLAIN
from ggml.core.errors import ShapeMismatchError
from ggml.core.node import Node
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.ops.shape.cutting import narrow
from ggml.registry.arguments import convert, integer, tensor
from ggml.registry.results import ValuesAndIndices
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor
from ggml.tensors.transfer import axis


def _lower_argsort(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    at, is_descending = params
    if not node.shape:
        return b.full(0, dtypes.I64, ())
    last = len(node.shape) - 1
    return b.row_kernel("sort", "sort", b.dense(values[0].swap(at, last)), int(is_descending)).swap(at, last)


@op(runs="kernel", sample="argsort", lower=_lower_argsort, dtypes=PLAIN)
def argsort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = True) -> Tensor:
    """The places of the elements along ``dim`` in ascending order; equal ones keep their order."""
    x = tensor("argsort", input)
    x = convert(x, dtypes.int32) if x.dtype is dtypes.bool_ else x
    return make("argsort", (x,), (axis("argsort", dim, x.ndim), bool(descending)), x._node.shape, dtypes.int64)


@op(runs="composed", sample="sort", dtypes=PLAIN)
def sort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = True) -> ValuesAndIndices:
    """The elements along ``dim`` in ascending order, and their places before."""
    x = tensor("sort", input)
    places = argsort(x, dim, descending)
    return ValuesAndIndices(x.gather(dim, places), places)


@op(
    runs="composed",
    sample="topk",
    dtypes=NUMERIC,
    differs="Of equal elements the first ones are taken; PyTorch leaves it open. The result is always sorted.",
)
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesAndIndices:
    """The ``k`` largest (or smallest) elements along ``dim``, and their places."""
    x, count = tensor("topk", input), integer("topk", k, "k")
    at = axis("topk", dim, x.ndim)
    if not 0 <= count <= (x.shape[at] if x.ndim else 1):
        raise ShapeMismatchError("topk", "a k that is not negative and no larger than the extent", (k, tuple(x.shape)))
    if not x.ndim:
        if count == 1:
            return ValuesAndIndices(x.clone(), argsort(x))
        return ValuesAndIndices(x.reshape(1).narrow(0, 0, 0), argsort(x).reshape(1).narrow(0, 0, 0))
    places = narrow(argsort(x, at, largest), at, 0, count)
    return ValuesAndIndices(x.gather(at, places), places)


def _triangle(name: str, text: str) -> Any:
    import numpy as np

    def lower(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
        cut = np.tril if name == "tril" else np.triu
        mask = b.constant(cut(np.ones(node.shape[-2:], np.float32), params[0]), dtypes.F32)
        return b.map("where", mask, values[0], b.scalar(0, values[0].type), shape=node.shape)

    def function(input: Tensor, diagonal: int = 0) -> Tensor:
        x, shift = tensor(name, input), integer(name, diagonal, "diagonal")
        if x.ndim < 2:
            raise ShapeMismatchError(name, "at least two axes", tuple(x.shape))
        limit = max(x.shape[-2:]) + 1
        return make(name, (x,), (max(-limit, min(limit, shift)),), x._node.shape, x._node.dtype)

    function.__name__, function.__doc__ = name, text
    return op(runs="kernel", sample="triangle", lower=lower, dtypes=dtypes.PLAIN, inplace=True)(function)


tril = _triangle("tril", "The matrices in the last two axes, 0 above the diagonal.")
triu = _triangle("triu", "The matrices in the last two axes, 0 below the diagonal.")
