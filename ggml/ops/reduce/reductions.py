"""Many elements to one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import NUMERIC, PLAIN, DType
from ggml.core.errors import ArgumentError, DTypeError, IndexOutOfRangeError
from ggml.core.node import Node, Shape
from ggml.graph.builder import Builder, Lower
from ggml.graph.reducing import reduce, to_rows
from ggml.graph.value import Value
from ggml.ops.elementwise.arithmetic import maximum, minimum
from ggml.ops.elementwise.pointwise import root
from ggml.ops.elementwise.selection import where
from ggml.registry.arguments import as_dtype, axes, convert, floating, integer, number, strictly_floating, tensor
from ggml.registry.results import ValuesAndIndices
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor
from ggml.tensors.transfer import axis

Dim = int | Sequence[int] | None


def _reduced(shape: Shape, dims: Sequence[int], keepdim: bool) -> Shape:
    if keepdim:
        return tuple(1 if d in dims else extent for d, extent in enumerate(shape))
    return tuple(extent for d, extent in enumerate(shape) if d not in dims)


def _by_kernel(name: str) -> Lower:
    def lower(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
        return reduce(b, name, values[0], params[0]).reshape_to(node.shape)

    return lower


def _lower_sum(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    if values[0].type == dtypes.F32 and not b.device.is_cpu:
        return b.rows("sum_rows", to_rows(b, values[0], params[0]), width=1).reshape_to(node.shape)
    return reduce(b, "sum", values[0], params[0]).reshape_to(node.shape)


def accumulated(name: str, input: Any, dtype: DType | None) -> Tensor:
    """The input in the dtype that its sum or product has: int64 for integers and bools."""
    x = tensor(name, input)
    if dtype is not None:
        return convert(x, as_dtype(name, dtype))
    return x if x.is_floating_point() else convert(x, dtypes.int64)


@op(runs="mixed", sample="reduce", lower=_lower_sum, dtypes=PLAIN, on_empty=0.0)
def sum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """The sum of all elements, or along ``dim``. Integers and bools are summed as int64."""
    x = accumulated("sum", input, dtype)
    if x.dtype is dtypes.bool_:
        return convert(sum(convert(x, dtypes.int64), dim, keepdim), dtypes.bool_)
    dims = axes("sum", dim, x.ndim)
    return make("sum", (x,), (dims,), _reduced(x._node.shape, dims, keepdim), x._node.dtype)


def _lower_mean(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    if not b.device.is_cpu:
        return b.rows("mean", to_rows(b, values[0], params[0]), width=1).reshape_to(node.shape)
    return reduce(b, "mean", values[0], params[0]).reshape_to(node.shape)


@op(runs="mixed", sample="reduce_floats", lower=_lower_mean, on_empty=math.nan)
def mean(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """The mean of all elements, or along ``dim``."""
    x = tensor("mean", input)
    x = strictly_floating("mean", x if dtype is None else convert(x, as_dtype("mean", dtype)))
    dims = axes("mean", dim, x.ndim)
    return make("mean", (x,), (dims,), _reduced(x._node.shape, dims, keepdim), x._node.dtype)


@op(runs="kernel", sample="reduce_one", lower=_by_kernel("prod"), dtypes=PLAIN, on_empty=1.0)
def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """The product of all elements, or along one ``dim``."""
    x = accumulated("prod", input, dtype)
    dims = axes("prod", None if dim is None else integer("prod", dim, "dim"), x.ndim)
    return make("prod", (x,), (dims,), _reduced(x._node.shape, dims, keepdim), x._node.dtype)


def _need_elements(name: str, x: Tensor, dims: Sequence[int]) -> None:
    if 0 in [x._node.shape[d] for d in dims]:
        raise IndexOutOfRangeError(name, f"there is no element along dim {tuple(dims)} of shape {tuple(x.shape)}")


def _extreme(name: str, kernel: str, text: str) -> Callable[..., Tensor]:
    def function(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
        x = tensor(name, input)
        dims = axes(name, dim, x.ndim)
        _need_elements(name, x, dims)
        return make(name, (x,), (dims,), _reduced(x._node.shape, dims, keepdim), x._node.dtype)

    function.__name__, function.__doc__ = name, text
    return op(runs="kernel", sample="reduce_extreme", lower=_by_kernel(kernel), dtypes=PLAIN)(function)


amax = _extreme("amax", "max", "The largest element, over all axes or ``dim``; a NaN wins.")


amin = _extreme("amin", "min", "The smallest element, over all axes or ``dim``; a NaN wins.")


def _place(name: str, text: str) -> Callable[..., Tensor]:
    def function(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
        x = tensor(name, input)
        if x.dtype is dtypes.bool_:
            raise DTypeError(name, "numbers", x.dtype)
        dims = axes(name, None if dim is None else integer(name, dim, "dim"), x.ndim)
        _need_elements(name, x, dims)
        return make(name, (x,), (dims,), _reduced(x._node.shape, dims, keepdim), dtypes.int64)

    function.__name__, function.__doc__ = name, text
    return op(runs="kernel", sample="reduce_place", lower=_by_kernel(name), dtypes=NUMERIC)(function)


argmax = _place("argmax", "The place of the largest element: the first of equals, a NaN before all.")


argmin = _place("argmin", "The place of the smallest element: the first of equals, a NaN before all.")


def _best(
    name: str,
    all_of: Callable[..., Tensor],
    place_of: Callable[..., Tensor],
    pair: Callable[..., Tensor],
    text: str,
) -> Callable[..., Any]:
    def function(
        input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False, *, other: Tensor | None = None
    ) -> Tensor | ValuesAndIndices:
        x = tensor(name, input)
        if isinstance(dim, Tensor) or other is not None:
            return pair(x, dim if other is None else other)
        if dim is None:
            return all_of(x)
        at = axis(name, dim, x.ndim)
        if not x.ndim:
            return ValuesAndIndices(x.clone(), convert(x.isnan(), dtypes.int64) * 0)
        is_bool = x.dtype is dtypes.bool_
        places = place_of(convert(x, dtypes.float32) if is_bool else x, at, True)
        values = x.gather(at, places)
        if keepdim:
            return ValuesAndIndices(values, places)
        return ValuesAndIndices(values.squeeze(at), places.squeeze(at))

    function.__name__, function.__doc__ = name, text
    return op(runs="composed", sample="reduce_best", dtypes=PLAIN)(function)


max = _best(
    "max", amax, argmax, maximum, "The largest element; along ``dim`` also its place; ``maximum`` with a tensor."
)


min = _best(
    "min", amin, argmin, minimum, "The smallest element; along ``dim`` also its place; ``minimum`` with a tensor."
)


def _lower_truth(name: str) -> Lower:
    def lower(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
        value = values[0] if values[0].type == dtypes.F32 else b.to_dtype(values[0], dtypes.bool_)
        return reduce(b, name, value, params[0]).reshape_to(node.shape)

    return lower


def _truth(name: str, text: str, on_empty: float) -> Callable[..., Tensor]:
    def function(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
        x = tensor(name, input)
        if isinstance(dim, (tuple, list)) and not dim:
            return convert(x, dtypes.bool_)  # no axis, where other reductions take all
        dims = axes(name, dim, x.ndim)
        return make(name, (x,), (dims,), _reduced(x._node.shape, dims, keepdim), dtypes.bool_)

    function.__name__, function.__doc__ = name, text
    row = op(runs="kernel", sample="reduce", lower=_lower_truth(name), dtypes=PLAIN, on_empty=on_empty)
    return row(function)


any = _truth("any", "Whether some element differs from 0.", 0.0)


all = _truth("all", "Whether every element differs from 0.", 1.0)


@op(runs="composed", sample="count_nonzero", dtypes=PLAIN)
def count_nonzero(input: Tensor, dim: Dim = None) -> Tensor:
    """How many elements differ from 0."""
    x = tensor("count_nonzero", input)
    return sum(convert(convert(x, dtypes.bool_), dtypes.int64), dim)


@op(runs="composed", sample="reduce_dims")
def logsumexp(input: Tensor, dim: Dim, keepdim: bool = False) -> Tensor:
    """``log(sum(exp(input)))`` without overflow."""
    x = floating("logsumexp", input)
    dims = axes("logsumexp", dim, x.ndim)
    if 0 in x.shape:
        return sum(x.exp(), dims, keepdim).log()
    top = amax(x.detach(), dims, True)
    top = top.masked_fill(top.abs().eq(math.inf), 0.0)
    total = sum((x - top).exp(), dims, True).log() + top
    return total if keepdim else total.reshape(_reduced(x._node.shape, dims, False))


@op(runs="composed", sample="norm")
def norm(
    input: Tensor, p: float | str | None = "fro", dim: Dim = None, keepdim: bool = False, *, dtype: DType | None = None
) -> Tensor:
    """The ``p``-norm of vectors: all elements, or along ``dim``."""
    x = strictly_floating("norm", input if dtype is None else convert(tensor("norm", input), as_dtype("norm", dtype)))
    if isinstance(p, str) and p != "fro":
        raise ArgumentError("norm", "p", f"must be a number or 'fro', not {p!r}")
    p = 2.0 if p is None or isinstance(p, str) else float(number("norm", p, "p"))
    extents = {x._node.shape[d] for d in axes("norm", dim, x.ndim)}
    if p < 0 and 0 in extents:
        raise ArgumentError("norm", "p", f"{p:g} has no value where there are no elements")
    if extents <= {1} and p not in (0, 2):  # one element is its own size, which a power and its root are not exactly
        return sum(x.abs(), dim, keepdim)
    if p in (math.inf, -math.inf):
        return (amax if p == math.inf else amin)(x.abs(), dim, keepdim)
    if p == 2:
        return convert(root(sum(convert(x, dtypes.float32).pow(2), dim, keepdim)), x.dtype)
    if p == 0:
        return convert(sum(x.ne(0), dim, keepdim), x.dtype)
    sizes = convert(x, dtypes.float32).abs()
    # Below 1 the slope at 0 is infinite, and PyTorch passes nothing on.
    powers = where(sizes.eq(0), 0.0, where(sizes.eq(0), 1.0, sizes).pow(p)) if 0 < p < 1 else sizes.pow(p)
    total = sum(powers, dim, keepdim)
    if p > 0 and p != 1:  # of nothing but zeros the norm is 0, and so is its gradient
        return convert(where(total.eq(0), 0.0, where(total.eq(0), 1.0, total).pow(1.0 / p)), x.dtype)
    return convert(total.pow(1.0 / p), x.dtype)
