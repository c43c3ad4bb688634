"""One value for each window: its mean, its largest element, or its norm."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ggml.core import dtypes
from ggml.core.dtypes import F32, I64
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.core.node import Node, Shape
from ggml.graph.builder import Builder, Lower
from ggml.graph.value import Value
from ggml.ops.spatial.axes import Extents, batched, extents, planes, three, unbatched
from ggml.registry.arguments import integer, number, strictly_floating, tensor
from ggml.registry.results import ValuesAndIndices
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor


class Windows(NamedTuple):
    """A number for each axis that is pooled."""

    kernel: Shape
    stride: Shape
    padding: Shape
    dilation: Shape


def _lower_pool(name: str) -> Lower:
    def lower(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
        rank, geometry = params
        source = planes(b, values[0], rank)
        type = {"max_pool": source.type, "max_pool_index": I64, "avg_pool": F32}[name]
        shape = (source.shape[0], *three(node.shape[len(node.shape) - rank :], 1))
        step = b.emit(name, (b.operand(source, source.shape),), type, shape, geometry)
        return step.reshape_to(node.shape)

    return lower


@op(runs="kernel", sample="internal", lower=_lower_pool("max_pool"), dtypes=dtypes.NUMERIC, methods=())
def window_max(input: Tensor, rank: int, geometry: tuple[int, ...], result: Shape) -> Tensor:
    """The largest element of each window; a NaN wins."""
    return make("window_max", (input,), (rank, geometry), result, input._node.dtype)


@op(runs="kernel", sample="internal", lower=_lower_pool("max_pool_index"), dtypes=dtypes.NUMERIC, methods=())
def window_place(input: Tensor, rank: int, geometry: tuple[int, ...], result: Shape) -> Tensor:
    """Where that element lies in its plane, as int64."""
    return make("window_place", (input,), (rank, geometry), result, dtypes.int64)


@op(runs="kernel", sample="internal", lower=_lower_pool("avg_pool"), methods=())
def window_mean(input: Tensor, rank: int, geometry: tuple[int, ...], result: Shape) -> Tensor:
    """The sum of each window over its divisor."""
    return make("window_mean", (input,), (rank, geometry), result, input._node.dtype)


def geometry_of(
    kernel: Shape, stride: Shape, low: Shape, dilation: Shape, counts_padding: bool = True, divisor: int = 0
) -> tuple[int, ...]:
    places = (*three(kernel, 1), *three(stride, 1), *three(low, 0), *three(dilation, 1))
    return (0, *places, int(counts_padding), divisor)


def _pooled(
    name: str, shape: Shape, kernel: Shape, stride: Shape, low: Shape, dilation: Shape, ceil_mode: bool
) -> Shape:
    """The extents of the result. With ``ceil_mode`` the last window may leave the input, but begins inside."""
    out = []
    for extent, k, s, p, d in zip(shape, kernel, stride, low, dilation, strict=True):
        space = extent + 2 * p - d * (k - 1) - 1
        count = (space + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (count - 1) * s >= extent + p:
            count -= 1
        out.append(count)
    if any(count < 1 for count in out):
        raise ShapeMismatchError(name, f"windows {kernel} no larger than the padded input", tuple(shape))
    return tuple(out)


def _windows(name: str, rank: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> Windows:
    """What a caller asks for, checked; no stride is the kernel's size."""
    kernel = extents(name, kernel_size, "kernel_size", rank)
    is_none = stride is None or (isinstance(stride, (tuple, list)) and not stride)
    steps = kernel if is_none else extents(name, stride, "stride", rank)
    low, spread = extents(name, padding, "padding", rank, low=0), extents(name, dilation, "dilation", rank)
    if any(2 * p > k for p, k in zip(low, kernel, strict=True)):
        raise ArgumentError(name, "padding", f"must be at most half of the kernel {kernel}: {low}")
    return Windows(kernel, steps, low, spread)


def need_elements(name: str, x: Tensor, first: int = 1) -> None:
    """An axis from ``first`` on without elements has no window; PyTorch refuses it, too."""
    if 0 in x._node.shape[first:]:
        raise ShapeMismatchError(name, f"elements along every axis from {first} on", tuple(x.shape))


def _numeric(name: str, input: Any) -> Tensor:
    x = tensor(name, input)
    if x.dtype is dtypes.bool_:
        raise DTypeError(name, "numbers", x.dtype)
    return x


def _max_pool(rank: int) -> Callable[..., Any]:
    name = f"max_pool{rank}d"

    def function(
        input: Tensor,
        kernel_size: Extents,
        stride: Extents | None = None,
        padding: Extents = 0,
        dilation: Extents = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Tensor | ValuesAndIndices:
        x = strictly_floating(name, input) if rank == 1 else _numeric(name, input)
        x, had_batch = batched(name, x, rank)
        need_elements(name, x)
        windows = _windows(name, rank, kernel_size, stride, padding, dilation)
        out = _pooled(name, x._node.shape[2:], *windows, ceil_mode=bool(ceil_mode))
        shape, geometry = (*x._node.shape[:2], *out), geometry_of(*windows)
        largest = unbatched(window_max(x, rank, geometry, shape), had_batch)
        if not return_indices:
            return largest
        return ValuesAndIndices(largest, unbatched(window_place(x, rank, geometry, shape), had_batch))

    function.__name__ = name
    function.__doc__ = (
        f"The largest element of windows over the last {rank} axes; with ``return_indices`` also its place in them."
    )
    return op(runs="composed", sample="max_pool", torch=f"nn.functional.{name}", methods=())(function)


max_pool1d, max_pool2d, max_pool3d = (_max_pool(rank) for rank in (1, 2, 3))


def _averaged(
    name: str,
    rank: int,
    input: Tensor,
    windows: Windows,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    x, had_batch = batched(name, strictly_floating(name, input), rank)
    need_elements(name, x)
    divisor = 0 if divisor_override is None else integer(name, divisor_override, "divisor_override")
    if divisor_override is not None and divisor == 0:
        raise ArgumentError(name, "divisor_override", "must not be 0")
    out = _pooled(name, x._node.shape[2:], *windows, ceil_mode=bool(ceil_mode))
    geometry = geometry_of(*windows, counts_padding=bool(count_include_pad), divisor=abs(divisor))
    mean = unbatched(window_mean(x, rank, geometry, (*x._node.shape[:2], *out)), had_batch)
    return -mean if divisor < 0 else mean


def avg_pool1d(
    input: Tensor,
    kernel_size: Extents,
    stride: Extents | None = None,
    padding: Extents = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of windows over the last axis of [N, C, L] or [C, L]."""
    windows = _windows("avg_pool1d", 1, kernel_size, stride, padding, 1)
    return _averaged("avg_pool1d", 1, input, windows, ceil_mode, count_include_pad, None)


op(runs="composed", sample="avg_pool", torch="nn.functional.avg_pool1d", methods=())(avg_pool1d)


def _avg_pool(rank: int) -> Callable[..., Tensor]:
    name = f"avg_pool{rank}d"

    def function(
        input: Tensor,
        kernel_size: Extents,
        stride: Extents | None = None,
        padding: Extents = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Tensor:
        windows = _windows(name, rank, kernel_size, stride, padding, 1)
        return _averaged(name, rank, input, windows, ceil_mode, count_include_pad, divisor_override)

    function.__name__ = name
    function.__doc__ = (
        f"The mean of windows over the last {rank} axes; ``divisor_override`` is divided by instead of their size."
    )
    return op(runs="composed", sample="avg_pool", torch=f"nn.functional.{name}", methods=())(function)


avg_pool2d, avg_pool3d = (_avg_pool(rank) for rank in (2, 3))


def _lp_pool(rank: int) -> Callable[..., Tensor]:
    name = f"lp_pool{rank}d"

    def function(
        input: Tensor,
        norm_type: float,
        kernel_size: Extents,
        stride: Extents | None = None,
        ceil_mode: bool = False,
    ) -> Tensor:
        x, power = strictly_floating(name, input), number(name, norm_type, "norm_type")
        if power == 0:
            raise ArgumentError(name, "norm_type", "must not be 0")
        windows = _windows(name, rank, kernel_size, stride, 0, 1)
        mean = _averaged(name, rank, x.pow(power), windows, ceil_mode, True, None)
        total = mean.sign() * mean.abs().relu() * math.prod(windows.kernel)
        return total.pow(1.0 / power)

    function.__name__ = name
    function.__doc__ = f"The ``norm_type``-norm of windows over the last {rank} axes."
    return op(runs="composed", sample="lp_pool", torch=f"nn.functional.{name}", methods=())(function)


lp_pool1d, lp_pool2d, lp_pool3d = (_lp_pool(rank) for rank in (1, 2, 3))
