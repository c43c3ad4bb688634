"""Windows as an axis of their own and back, and channels exchanged with space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from ggml.core.dtypes import F32, PLAIN
from ggml.core.errors import ArgumentError, ShapeMismatchError
from ggml.core.node import Node, Shape
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.ops.shape.permuting import movedim, permute
from ggml.ops.shape.views import reshape
from ggml.ops.spatial.axes import Extents, extents, need_sane, three
from ggml.ops.spatial.padding import constant_pad
from ggml.registry.arguments import integer, strictly_floating, tensor
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor
from ggml.tensors.transfer import axis

_FUNCTIONAL = "nn.functional."


def windowed(value: Value, stride: Shape, dilation: Shape, out: Shape, kernel: Shape) -> Value:
    """[..., I...] as [..., O..., K...]: the windows as a look at the same elements."""
    rank = len(stride)
    outer, inner = value.strides[: len(value.strides) - rank], value.strides[len(value.strides) - rank :]
    steps = [a * by for a, by in zip(inner, stride, strict=True)]
    spread = [a * by for a, by in zip(inner, dilation, strict=True)]
    shape = (*value.shape[: len(outer)], *out, *kernel)
    return Value(value.step, value.type, shape, (*outer, *steps, *spread), value.offset)


def _lower_windows(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    kernel, stride, dilation = params
    out = node.shape[len(node.shape) - 2 * len(kernel) : len(node.shape) - len(kernel)]
    return windowed(values[0], stride, dilation, out, kernel)


@op(runs="view", sample="internal", lower=_lower_windows, dtypes=PLAIN, methods=(), widens=False)
def windows(input: Tensor, kernel: Shape, stride: Shape, dilation: Shape) -> Tensor:
    """[..., I...] to [..., O..., K...], as many axes as ``kernel`` has. The caller has checked that one fits."""
    rank, shape = len(kernel), input._node.shape
    out = tuple(
        (extent - d * (k - 1) - 1) // s + 1
        for extent, k, s, d in zip(shape[len(shape) - rank :], kernel, stride, dilation, strict=True)
    )
    result = (*shape[: len(shape) - rank], *out, *kernel)
    return make("windows", (input,), (kernel, stride, dilation), result, input._node.dtype)


@op(runs="composed", sample="windows_of", dtypes=PLAIN, torch="Tensor.unfold", methods=("unfold",), name="window")
def window(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Every ``step``-th window of ``size`` elements along ``dimension``; the elements of one lie in a new last axis."""
    x = tensor("unfold", input)
    at = axis("unfold", dimension, x.ndim)
    length, by = integer("unfold", size, "size"), integer("unfold", step, "step")
    extent = x._node.shape[at] if x.ndim else 1
    if not 0 <= length <= extent or by < 1:
        raise ArgumentError("unfold", "size and step", f"must be in [0, {extent}] and positive: {length}, {by}")
    if not x.ndim:
        return reshape(x, (1,)) if length else constant_pad(reshape(x, (1,)), (-1,), (0,), 0)
    moved = movedim(x, at, -1)
    if 0 in x._node.shape or length == 0:
        shape = (*moved._node.shape[:-1], (extent - length) // by + 1, length)
        return movedim(reshape(constant_pad(reshape(x, (-1,)), (-x.numel(),), (0,), 0), shape), -2, at)
    return movedim(windows(moved, (length,), (by,), (1,)), -2, at)


def _positions(name: str, size: Shape, kernel: Shape, dilation: Shape, padding: Shape, stride: Shape) -> Shape:
    out = tuple(
        (extent + 2 * p - d * (k - 1) - 1) // s + 1
        for extent, p, d, k, s in zip(size, padding, dilation, kernel, stride, strict=True)
    )
    if any(count < 1 for count in out):
        raise ShapeMismatchError(name, f"windows {kernel} no larger than the padded input", size)
    return out


def _plane_windows(
    name: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> tuple[Shape, Shape, Shape, Shape]:
    return (
        extents(name, kernel_size, "kernel_size", 2),
        extents(name, dilation, "dilation", 2),
        extents(name, padding, "padding", 2, low=0),
        extents(name, stride, "stride", 2),
    )


@op(runs="composed", sample="unfold", torch=_FUNCTIONAL + "unfold", methods=())
def unfold(
    input: Tensor, kernel_size: Extents, dilation: Extents = 1, padding: Extents = 0, stride: Extents = 1
) -> Tensor:
    """[N, C, H, W] to [N, C * window, positions]: every window as a column."""
    x = strictly_floating("unfold", input)
    kernel, spread, edge, by = _plane_windows("unfold", kernel_size, dilation, padding, stride)
    if x.ndim not in (3, 4) or 0 in x._node.shape[x.ndim - 3 :]:
        raise ShapeMismatchError("unfold", "[N, C, H, W] or [C, H, W]", tuple(x.shape))
    *outer, channels, height, width = x._node.shape
    out = _positions("unfold", (height, width), kernel, spread, edge, by)
    need_sane("unfold", (*outer, channels, *kernel, *out))
    low = (*[0] * (x.ndim - 2), *edge)
    padded = constant_pad(x, low, low, 0)
    columns = (*outer, channels * math.prod(kernel), math.prod(out))
    if 0 in outer:
        return reshape(padded, columns)
    found = windows(padded, kernel, by, spread)
    last = x.ndim
    order = (*range(last - 2), last, last + 1, last - 2, last - 1)
    return reshape(permute(found, order), columns)


class Fold(NamedTuple):
    """The windows that columns are added in, two numbers each; ``positions`` is how many windows there are."""

    kernel: Shape
    stride: Shape
    padding: Shape
    dilation: Shape
    positions: Shape


def _lower_fold(b: Builder, values: Sequence[Value], params: Fold, node: Node) -> Value:
    kernel, stride, padding, dilation, positions = params
    planes = math.prod(node.shape[:-2])
    columns = b.reshape(values[0], (planes, math.prod(kernel), math.prod(positions)))
    geometry = (*three(kernel, 1), *three(stride, 1), *three(padding, 0), *three(dilation, 1), *three(positions, 1))
    shape = (planes, 1, *node.shape[-2:])
    return b.emit("fold", (b.operand(columns, columns.shape),), F32, shape, geometry).reshape_to(node.shape)


@op(runs="kernel", sample="fold", lower=_lower_fold, torch=_FUNCTIONAL + "fold", methods=())
def fold(
    input: Tensor,
    output_size: Extents,
    kernel_size: Extents,
    dilation: Extents = 1,
    padding: Extents = 0,
    stride: Extents = 1,
) -> Tensor:
    """[N, C * window, positions] to [N, C, *output_size]: columns added where their windows lie."""
    x = strictly_floating("fold", input)
    kernel, spread, edge, by = _plane_windows("fold", kernel_size, dilation, padding, stride)
    size = extents("fold", output_size, "output_size", 2)
    if x.ndim not in (2, 3) or 0 in x._node.shape[x.ndim - 2 :]:
        raise ShapeMismatchError("fold", "[N, C * window, positions] or without N", tuple(x.shape))
    *outer, rows, columns = x._node.shape
    out = _positions("fold", size, kernel, spread, edge, by)
    if rows % math.prod(kernel) or columns != math.prod(out):
        rule = f"a multiple of {math.prod(kernel)} rows and {math.prod(out)} columns"
        raise ShapeMismatchError("fold", rule, tuple(x.shape))
    result = (*outer, rows // math.prod(kernel), *size)
    need_sane("fold", result)
    return make("fold", (x,), Fold(kernel, by, edge, spread, out), result, x._node.dtype)


def _factor(name: str, value: Any, argument: str) -> int:
    factor = integer(name, value, argument)
    if factor < 1:
        raise ArgumentError(name, argument, f"must be positive, not {factor}")
    return factor


@op(runs="composed", sample="pixel_shuffle", dtypes=PLAIN, methods=())
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """[..., C * r * r, H, W] to [..., C, H * r, W * r]."""
    x, factor = tensor("pixel_shuffle", input), _factor("pixel_shuffle", upscale_factor, "upscale_factor")
    if x.ndim < 3 or x.shape[-3] % (factor * factor):
        raise ShapeMismatchError("pixel_shuffle", f"a multiple of {factor * factor} channels", tuple(x.shape))
    *outer, channels, height, width = x._node.shape
    result = (*outer, channels // (factor * factor), height * factor, width * factor)
    planes = math.prod(outer) * (channels // (factor * factor))
    split = reshape(x, (planes, factor, factor, height, width))
    return reshape(permute(split, (0, 3, 1, 4, 2)), result)


@op(runs="composed", sample="pixel_unshuffle", dtypes=PLAIN, methods=())
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """[..., C, H * r, W * r] to [..., C * r * r, H, W]."""
    x, factor = tensor("pixel_unshuffle", input), _factor("pixel_unshuffle", downscale_factor, "downscale_factor")
    if x.ndim < 3 or x.shape[-1] % factor or x.shape[-2] % factor:
        raise ShapeMismatchError("pixel_unshuffle", f"heights and widths that {factor} divides", tuple(x.shape))
    if not x.numel():  # PyTorch's rule: what is empty keeps its shape
        return x
    *outer, channels, height, width = x._node.shape
    result = (*outer, channels * factor * factor, height // factor, width // factor)
    split = reshape(x, (math.prod(outer) * channels, height // factor, factor, width // factor, factor))
    return reshape(permute(split, (0, 2, 4, 1, 3)), result)


@op(runs="composed", sample="channel_shuffle", dtypes=PLAIN, methods=())
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """The channels (axis 1) of each group taken in turn."""
    x, count = tensor("channel_shuffle", input), _factor("channel_shuffle", groups, "groups")
    if x.ndim < 3 or x.shape[1] % count:
        raise ShapeMismatchError("channel_shuffle", f"channels in axis 1 that {count} divides", tuple(x.shape))
    batch, channels, *inner = x._node.shape
    split = reshape(x, (batch, count, channels // count, math.prod(inner)))
    return reshape(permute(split, (0, 2, 1, 3)), x._node.shape)
