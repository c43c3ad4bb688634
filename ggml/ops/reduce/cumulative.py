"""Along an axis, element after element: the best so far, differences, areas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import PLAIN
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.core.node import Node
from ggml.graph.builder import Builder, Lower
from ggml.graph.value import Value
from ggml.ops.shape.concatenation import cat
from ggml.ops.shape.cutting import narrow
from ggml.registry.arguments import Number, convert, integer, number, strictly_floating, tensor
from ggml.registry.results import ValuesAndIndices
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor
from ggml.tensors.transfer import axis


def _scan(kernel: str) -> Lower:
    def lower(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
        at, last = params[0], len(node.shape) - 1
        return b.row_kernel("scan", kernel, b.dense(values[0].swap(at, last))).swap(at, last)

    return lower


def _place(name: str) -> Callable[[Tensor, int], Tensor]:
    """Where the best element so far stands."""
    row = f"{name}_place"

    def function(input: Tensor, at: int) -> Tensor:
        return make(row, (input,), (at,), input._node.shape, dtypes.int64)

    function.__name__, function.__doc__ = row, "The places of the best elements so far, along one axis."
    return op(runs="kernel", sample="internal", lower=_scan(name), dtypes=PLAIN, torch=name, methods=())(function)


def _best(name: str, text: str) -> Callable[[Tensor, int], ValuesAndIndices]:
    place = _place(name)

    def function(input: Tensor, dim: int) -> ValuesAndIndices:
        given = tensor(name, input)
        at = axis(name, dim, given.ndim)
        x = given if given.ndim else given.reshape(1)
        places = place(convert(x, dtypes.float32) if x.dtype is dtypes.bool_ else x, at)
        shape = tuple(given.shape)
        return ValuesAndIndices(x.gather(at, places).reshape(shape), places.reshape(shape))

    function.__name__, function.__doc__ = name, text
    return op(runs="composed", sample="scan", dtypes=PLAIN)(function)


cummax = _best("cummax", "The largest element up to each one along ``dim``, and its place: the last of equals.")
cummin = _best("cummin", "The smallest element up to each one along ``dim``, and its place: the last of equals.")


@op(runs="kernel", sample="scan", lower=_scan("logcumsumexp"))
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """The logarithm of the sum of ``exp`` of the elements up to each one, without overflow."""
    x = strictly_floating("logcumsumexp", input)
    at = axis("logcumsumexp", dim, x.ndim)
    if not x.ndim:
        return x
    return make("logcumsumexp", (x,), (at,), x._node.shape, x._node.dtype)


def _shortened(x: Tensor, at: int, begin: int) -> Tensor:
    return narrow(x, at, begin, x.shape[at] - 1)


@op(runs="composed", sample="diff", dtypes=PLAIN)
def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """What is added from each element to the next along ``dim``, ``n`` times; exclusive or of bools."""
    x, times = tensor("diff", input), integer("diff", n, "n")
    if not x.ndim:
        raise ShapeMismatchError("diff", "at least one axis", ())
    at = axis("diff", dim, x.ndim)
    if times < 0:
        raise ArgumentError("diff", "n", f"must not be negative: {n}")
    if times == 0:
        return x
    ends = [None if one is None else tensor("diff", one, "prepend or append") for one in (prepend, append)]
    parts = [one for one in (ends[0], x, ends[1]) if one is not None]
    for part in parts:
        if part.ndim != x.ndim:
            raise ShapeMismatchError("diff", f"{x.ndim} axes", tuple(part.shape))
    x = cat(parts, at) if len(parts) > 1 else x
    for _ in range(min(times, x.shape[at])):
        if not x.shape[at]:
            break
        after, before = _shortened(x, at, 1), _shortened(x, at, 0)
        x = after.logical_xor(before) if x.dtype is dtypes.bool_ else after - before
    return x


def _widths(name: str, y: Tensor, x: Any, dx: Any, at: int) -> Tensor | Number:
    """How far apart neighbours are: a number, or a tensor that broadcasts along ``at``."""
    if x is None:
        return 1 if dx is None else number(name, dx, "dx")
    if dx is not None:
        raise ArgumentError(name, "dx", "cannot be given beside x")
    points = tensor(name, x, "x")
    if points.ndim == 0:
        raise ShapeMismatchError(name, "points with an axis", ())
    if points.ndim == 1 and y.ndim > 1:
        if points.shape[0] != y.shape[at]:
            raise ShapeMismatchError(name, f"{y.shape[at]} points", tuple(points.shape))
        points = points.reshape(-1, *[1] * (y.ndim - at - 1))
        return diff(points, dim=0)
    place = at - y.ndim + points.ndim
    if place < 0:
        raise ShapeMismatchError(name, f"points that broadcast to {tuple(y.shape)}", tuple(points.shape))
    return diff(points, dim=place)


def _areas(name: str, y: Any, x: Any, dx: Any, dim: int) -> tuple[Tensor, int]:
    """The areas between neighbours, by the mean of their heights."""
    heights = tensor(name, y, "y")
    if heights.dtype is dtypes.bool_:
        raise DTypeError(name, "numbers", heights.dtype)
    if not heights.ndim:
        raise ShapeMismatchError(name, "at least one axis", ())
    at = axis(name, dim, heights.ndim)
    if not heights.shape[at]:
        return heights / 1.0, at
    widths = _widths(name, heights, x, dx, at)
    both = _shortened(heights, at, 1) + _shortened(heights, at, 0)
    return both * widths / 2.0, at - heights.ndim


@op(runs="composed", sample="trapezoid", dtypes=(dtypes.float32,), methods=())
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Number | None = None, dim: int = -1) -> Tensor:
    """The area below the points: heights ``y``, at ``x`` or ``dx`` (1) apart, along ``dim``."""
    areas, at = _areas("trapezoid", y, x, dx, dim)
    return areas.sum(at)


@op(runs="composed", sample="trapezoid", dtypes=(dtypes.float32,), methods=())
def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Number | None = None, dim: int = -1) -> Tensor:
    """The area up to each point but the first."""
    areas, at = _areas("cumulative_trapezoid", y, x, dx, dim)
    return areas.cumsum(at)
