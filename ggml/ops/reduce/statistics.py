"""Reductions that look at the order of the elements, leave NaN out, or answer twice."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ggml.core import dtypes
from ggml.core.dtypes import NUMERIC, PLAIN, DType
from ggml.core.errors import ArgumentError, DTypeError, IndexOutOfRangeError, ShapeMismatchError
from ggml.core.node import Node
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.ops.elementwise.selection import where
from ggml.ops.reduce.reductions import Dim, _by_kernel, amax, amin
from ggml.ops.reduce.variance import corrected, std, var
from ggml.ops.shape.cutting import narrow
from ggml.registry.arguments import as_dtype, axes, convert, integer, number, strictly_floating, tensor
from ggml.registry.results import MinAndMax, ValuesAndIndices
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor, filled, wrap
from ggml.tensors.transfer import axis, upload


@op(runs="composed", sample="reduce_numbers", dtypes=PLAIN)
def nansum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """The sum; a NaN counts as 0."""
    x = tensor("nansum", input)
    known = where(x.isnan(), filled((), 0.0, x.dtype, x.device), x) if x.is_floating_point() else x
    return known.sum(dim, keepdim, dtype=dtype)


@op(runs="composed", sample="reduce_numbers")
def nanmean(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """The mean of the elements that are numbers; NaN where there are none."""
    x = tensor("nanmean", input)
    x = strictly_floating("nanmean", x if dtype is None else convert(x, as_dtype("nanmean", dtype)))
    count = convert(x.isnan().logical_not(), dtypes.float32).sum(dim, keepdim)
    return convert(nansum(convert(x, dtypes.float32), dim, keepdim) / count, x.dtype)


def _at(name: str, x: Tensor, dim: Any) -> tuple[Tensor, int]:
    """The tensor with at least one axis, and the axis that is meant."""
    at = axis(name, dim, x.ndim)
    return (x if x.ndim else x.reshape(1)), at


def _numbers(name: str, input: Any) -> Tensor:
    x = tensor(name, input)
    if x.dtype is dtypes.bool_:
        raise DTypeError(name, "numbers", x.dtype)
    return x


def _chosen(x: Tensor, at: int, places: Tensor, shape: tuple[int, ...], keepdim: bool) -> ValuesAndIndices:
    """One element along an axis: ``places`` has extent 1 there. ``shape`` is that of the input, which may be ()."""
    values = x.gather(at, places)
    if not shape:
        return ValuesAndIndices(values.reshape(()), places.reshape(()))
    return ValuesAndIndices(values, places) if keepdim else ValuesAndIndices(values.squeeze(at), places.squeeze(at))


def _need_elements(name: str, x: Tensor, at: int) -> None:
    if x.shape[at] == 0:
        raise IndexOutOfRangeError(name, f"there is no element along dim {at} of {tuple(x.shape)}")


@op(runs="composed", sample="kthvalue", dtypes=NUMERIC)
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> ValuesAndIndices:
    """The ``k``-th smallest element along ``dim`` (the first is 1), and its place."""
    given, rank = _numbers("kthvalue", input), integer("kthvalue", k, "k")
    x, at = _at("kthvalue", given, dim)
    if not 1 <= rank <= x.shape[at]:
        raise ArgumentError("kthvalue", "k", f"must lie in [1, {x.shape[at]}]: {k}")
    return _chosen(x, at, narrow(x.argsort(at), at, rank - 1, 1), tuple(given.shape), keepdim)


def _middle(name: str, text: str) -> Callable[..., Any]:
    ignores_nan = name == "nanmedian"

    def function(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor | ValuesAndIndices:
        given = _numbers(name, input)
        if dim is None:
            if not given.numel():
                fill = math.nan if given.is_floating_point() else -(1 << (given.itemsize * 8 - 1))
                return filled((), fill, given.dtype, given.device)
            return _median(given.flatten(), 0, (given.numel(),), False, ignores_nan).values
        x, at = _at(name, given, dim)
        _need_elements(name, x, at)
        return _median(x, at, tuple(given.shape), keepdim, ignores_nan)

    function.__name__, function.__doc__ = name, text
    return op(runs="composed", sample="median", dtypes=NUMERIC)(function)


def _median(x: Tensor, at: int, shape: tuple[int, ...], keepdim: bool, ignores_nan: bool) -> ValuesAndIndices:
    order, middle = x.argsort(at), (x.shape[at] - 1) // 2
    if not x.is_floating_point():
        return _chosen(x, at, narrow(order, at, middle, 1), shape, keepdim)
    is_nan = x.isnan()
    if ignores_nan:  # these are last in the order
        count = is_nan.logical_not().sum(at, True)
        return _chosen(x, at, order.gather(at, ((count - 1).clamp(min=0)).floor_divide(2)), shape, keepdim)
    places = where(is_nan.any(at, True), convert(is_nan, dtypes.int32).argmax(at, True), narrow(order, at, middle, 1))
    return _chosen(x, at, places, shape, keepdim)


median = _middle("median", "The middle element, of two the lower one; along ``dim`` also its place. A NaN wins.")
nanmedian = _middle("nanmedian", "As ``median``, of the elements that are numbers.")


def _lower_mode_place(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    return _by_kernel("mode")(b, values, params, node)


@op(runs="kernel", sample="internal", lower=_lower_mode_place, dtypes=NUMERIC, torch="mode", methods=())
def mode_place(input: Tensor, at: int) -> Tensor:
    """Where the most frequent element along an axis stands last."""
    shape = tuple(1 if d == at else extent for d, extent in enumerate(input.shape))
    return make("mode_place", (input,), ((at,),), shape, dtypes.int64)


@op(runs="composed", sample="mode", dtypes=PLAIN, differs="The place is the last one; PyTorch leaves it open.")
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> ValuesAndIndices:
    """The most frequent element along ``dim``, the smallest of several, and the last place where it stands."""
    given = tensor("mode", input)
    x, at = _at("mode", given, dim)
    _need_elements("mode", x, at)
    counted = convert(x, dtypes.float32) if x.dtype is dtypes.bool_ else x
    return _chosen(x, at, mode_place(counted, at), tuple(given.shape), keepdim)


_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _shares(name: str, q: Any, x: Tensor) -> tuple[np.ndarray[Any, Any], tuple[int, ...]]:
    """The wanted shares in [0, 1] on the host, and whether they had an axis."""
    if isinstance(q, Tensor):
        if q.dtype is not x.dtype or q.ndim > 1:
            raise DTypeError(name, f"a number or {x.dtype} with at most one axis as q", f"{q.dtype} {tuple(q.shape)}")
        shares, shape = np.asarray(q.numpy(), np.float64).reshape(-1), tuple(q.shape)
    else:
        shares, shape = np.array([float(number(name, q, "q"))]), ()
    if not bool(np.all((shares >= 0) & (shares <= 1))):
        raise ArgumentError(name, "q", "must lie in [0, 1]")
    return shares.astype(np.float32), shape


def _blended(sorted_: Tensor, at: int, ranks: Tensor, how: str) -> Tensor:
    """The elements of a sorted axis at fractional places ``ranks``."""
    if how == "nearest":
        return sorted_.gather(at, convert(ranks.round(), dtypes.int64))
    low, high = ranks.floor(), ranks.ceil()
    if how in ("lower", "higher"):
        return sorted_.gather(at, convert(low if how == "lower" else high, dtypes.int64))
    first = sorted_.gather(at, convert(low, dtypes.int64))
    last = sorted_.gather(at, convert(high, dtypes.int64))
    share = ranks - low if how == "linear" else filled((), 0.5, dtypes.float32, ranks.device).expand(tuple(ranks.shape))
    return first.lerp(last, share)


def _quantiles(name: str, text: str) -> Callable[..., Tensor]:
    def function(
        input: Tensor,
        q: float | Tensor,
        dim: int | None = None,
        keepdim: bool = False,
        *,
        interpolation: str = "linear",
    ) -> Tensor:
        given = tensor(name, input)
        if given.dtype is not dtypes.float32:
            raise DTypeError(name, "float32", given.dtype)
        if interpolation not in _INTERPOLATIONS:
            raise ArgumentError(name, "interpolation", f"must be one of {', '.join(_INTERPOLATIONS)}")
        if not given.numel():
            raise ShapeMismatchError(name, "at least one element", tuple(given.shape))
        shares, outer = _shares(name, q, given)
        flat, at = _at(name, given.flatten() if dim is None else given, -1 if dim is None else dim)
        rest = _kept_shape(tuple(given.shape), at, dim is None, keepdim)
        x = flat.movedim(at, -1)
        if not len(shares):
            return x.flatten().narrow(0, 0, 0).reshape(0, *rest)
        with_slope = q.reshape(-1) if isinstance(q, Tensor) and q.requires_grad else None
        wanted = wrap(upload(shares, dtypes.float32, x.device)) if with_slope is None else with_slope
        ranks = _ranks(x, wanted, name == "nanquantile")
        found = _blended(x.sort(-1).values, -1, ranks, interpolation)
        return found.movedim(-1, 0).reshape(*outer, *rest)

    function.__name__, function.__doc__ = name, text
    return op(runs="composed", sample="quantile", dtypes=(dtypes.float32,))(function)


def _kept_shape(shape: tuple[int, ...], at: int, is_flat: bool, keepdim: bool) -> tuple[int, ...]:
    if keepdim:
        return tuple(1 if is_flat or d == at else extent for d, extent in enumerate(shape))
    return () if is_flat else tuple(extent for d, extent in enumerate(shape) if d != at)


def _ranks(x: Tensor, shares: Tensor, ignores_nan: bool) -> Tensor:
    """[..., q]: the fractional places of the shares in each sorted row; the last place where a NaN decides."""
    last, is_nan = float(x.shape[-1] - 1), x.isnan()
    shape = (*x.shape[:-1], shares.shape[0])
    if ignores_nan:
        counts = convert(is_nan.logical_not(), dtypes.float32).sum(-1, True)
        return ((counts - 1).clamp(min=0.0) * shares).expand(shape)
    return where(is_nan.any(-1, True), last, (shares * last).expand(shape))


quantile = _quantiles("quantile", "The element below which the share ``q`` of all lies, over all or along ``dim``.")
nanquantile = _quantiles("nanquantile", "As ``quantile``, of the elements that are numbers.")


def _with_mean(name: str, spread: Callable[..., Tensor], text: str) -> Callable[..., tuple[Tensor, Tensor]]:
    def function(
        input: Tensor,
        dim: Dim | bool = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: float | None = None,
    ) -> tuple[Tensor, Tensor]:
        x = strictly_floating(name, input)
        along, less = corrected(name, dim, unbiased, correction)
        return spread(x, along, None, keepdim, correction=less), x.mean(along, keepdim)

    function.__name__, function.__doc__ = name, text
    return op(runs="composed", sample="variance", methods=())(function)


var_mean = _with_mean("var_mean", var, "The variance and the mean.")
std_mean = _with_mean("std_mean", std, "The standard deviation and the mean.")


@op(runs="composed", sample="aminmax", dtypes=PLAIN)
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> MinAndMax:
    """The smallest and the largest element, over all axes or along ``dim``; a NaN wins."""
    x = tensor("aminmax", input)
    axes("aminmax", dim, x.ndim)
    return MinAndMax(amin(x, dim, keepdim), amax(x, dim, keepdim))


@op(runs="composed", sample="msort", dtypes=NUMERIC)
def msort(input: Tensor) -> Tensor:
    """The elements along axis 0 in ascending order."""
    return tensor("msort", input).sort(0).values
