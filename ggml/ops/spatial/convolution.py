"""Sums over windows with weights, and their transposes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ggml.core.dtypes import F32
from ggml.core.errors import ArgumentError, ShapeMismatchError
from ggml.core.node import Node, Shape
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.ops.linalg.matmul import product
from ggml.ops.spatial.axes import Extents, arrange, batched, extents, need_sane, planes, three, unbatched
from ggml.ops.spatial.channels import Geometry, check_bias, check_channels, checked_groups, checked_operands
from ggml.ops.spatial.fold import windowed
from ggml.ops.spatial.padding import constant_pad
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor

#: Fewer positions than this do not fill the tiles of our kernel: the windows are unfolded for a product of matrices.
_FEW_POSITIONS = 16


def _lower_convolution(b: Builder, values: Sequence[Value], params: Geometry, node: Node) -> Value:
    stride, padding, dilation, groups = params
    x, weight = values[:2]
    rank = len(stride)
    kernel, out = weight.shape[2:], node.shape[2:]
    if not b.device.is_cpu and _is_native(weight, stride, groups):
        return _native(b, values, params, node)
    if any(by > step * (extent - 1) + 1 for by, step, extent in zip(stride, dilation, kernel, strict=True)):
        x, stride = _gathered(b, x, kernel, out, params)
        padding = (0,) * rank
        if groups == 1 and _is_small(out, out):
            return _unfolded(b, (x, *values[1:]), Geometry(stride, padding, dilation, groups), node)
    reach = [(extent - 1) * step // by for extent, step, by in zip(kernel, dilation, stride, strict=True)]
    arranged = tuple(extent + more for extent, more in zip(out, reach, strict=True))
    if groups == 1 and _is_small(out, arranged):
        return _unfolded(b, values, params, node)
    source = arrange(b, planes(b, x, rank), three(padding, 0), three(stride, 1), three(arranged, 1))
    taps = math.prod(weight.shape[1:])
    sources = [
        b.operand(source, source.shape),
        b.operand(b.reshape(weight, (weight.shape[0], taps)), (weight.shape[0], taps)),
        *[b.operand(bias, bias.shape) for bias in values[2:]],
    ]
    geometry = (groups, *three(kernel, 1), *three(stride, 1), *three(dilation, 1))
    shape = (node.shape[0] * node.shape[1], *three(out, 1))
    name = "convolve_bias" if len(values) == 3 else "convolve"
    return b.emit(name, sources, F32, shape, geometry).reshape_to(node.shape)


def _gathered(b: Builder, x: Value, kernel: Shape, out: Shape, params: Geometry) -> tuple[Value, Shape]:
    """The padded input without what lies between windows that a stride keeps apart, and the stride that is left."""
    stride, padding, dilation, _ = params
    spans = tuple(step * (extent - 1) + 1 for step, extent in zip(dilation, kernel, strict=True))
    needed = tuple((o - 1) * by + span for o, by, span in zip(out, stride, spans, strict=True))
    is_apart = [by > span for by, span in zip(stride, spans, strict=True)]
    counts = tuple(o if apart else n for o, n, apart in zip(out, needed, is_apart, strict=True))
    steps = tuple(by if apart else 1 for by, apart in zip(stride, is_apart, strict=True))
    widths = tuple(span if apart else 1 for span, apart in zip(spans, is_apart, strict=True))
    rank, ones = len(out), (1,) * len(out)
    padded = arrange(b, planes(b, x, rank), three(padding, 0), (1, 1, 1), three(needed, 1))
    look = windowed(padded.reshape_to((*x.shape[:2], *needed)), steps, ones, counts, widths)
    order = (0, 1, *(axis for at in range(rank) for axis in (2 + at, 2 + rank + at)))
    shape = (*x.shape[:2], *[count * width for count, width in zip(counts, widths, strict=True)])
    left = tuple(span if apart else by for span, apart, by in zip(spans, is_apart, stride, strict=True))
    return b.reshape(look.permute(order), shape), left


def _is_small(out: Shape, arranged: Shape) -> bool:
    """Whether our kernel would compute few positions, or mostly those between the rows."""
    positions = 0
    for extent, pitch in zip(out, arranged, strict=True):
        positions = positions * pitch + extent - 1
    return positions + 1 < _FEW_POSITIONS or positions + 1 > 2 * math.prod(out)


def _unfolded(b: Builder, values: Sequence[Value], params: Geometry, node: Node) -> Value:
    """Every window as a row of a matrix."""
    stride, padding, dilation, _ = params
    x, weight = values[:2]
    rank, (batch, channels) = len(stride), x.shape[:2]
    kernel, out = weight.shape[2:], node.shape[2:]
    padded = tuple((o - 1) * s + (k - 1) * d + 1 for o, s, k, d in zip(out, stride, kernel, dilation, strict=True))
    source = arrange(b, planes(b, x, rank), three(padding, 0), (1, 1, 1), three(padded, 1))
    windows = windowed(source.reshape_to((batch, channels, *padded)), stride, dilation, out, kernel)
    order = (0, *range(2, 2 + rank), 1, *range(2 + rank, 2 + 2 * rank))
    rows = b.reshape(windows.permute(order), (batch * math.prod(out), math.prod(weight.shape[1:])))
    matrix = b.reshape(weight, (weight.shape[0], rows.shape[1]))
    result = product(b, rows, matrix.swap(0, 1))
    if len(values) == 3:
        result = b.binary("add", result, values[2], result.shape)
    folded = result.reshape_to((batch, *out, weight.shape[0]))
    return b.dense(folded.permute((0, rank + 1, *range(1, rank + 1))))


def _is_native(weight: Value, stride: Shape, groups: int) -> bool:
    """Whether ggml's own operation can do it: a plane, whose positions fit its work memory."""
    position_bytes = 4 * (math.prod(weight.shape[1:]) + weight.shape[0])
    return groups == 1 and len(stride) <= 2 and position_bytes <= 16 << 20


def _native(b: Builder, values: Sequence[Value], params: Geometry, node: Node) -> Value:
    stride, padding, dilation, _ = params
    x, weight = values[:2]

    def plane(shape: Shape) -> Shape:
        return (*shape[:2], *((1, *shape[2:])[-2:]))

    def inner(numbers: Shape, filling: int) -> Shape:
        return tuple(reversed((filling, *numbers)[-2:]))

    sources = (b.operand(weight, plane(weight.shape)), b.operand(x, plane(x.shape)))
    geometry = (*inner(stride, 1), *inner(padding, 0), *inner(dilation, 1))
    result = b.emit("conv_2d", sources, F32, plane(node.shape), geometry)
    if len(values) == 3:
        result = b.binary("add", result, b.reshape(values[2], (weight.shape[0], 1, 1)), result.shape)
    return result.reshape_to(node.shape)


@op(runs="kernel", sample="internal", lower=_lower_convolution, methods=())
def convolution(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Shape, padding: Shape, dilation: Shape, groups: int
) -> Tensor:
    """[N, C, ...] with [out, C / groups, ...]; the caller has checked all but the size of the window."""
    shape, kernel = input._node.shape, weight._node.shape[2:]
    out = tuple(
        (extent + 2 * p - d * (k - 1) - 1) // s + 1
        for extent, p, d, k, s in zip(shape[2:], padding, dilation, kernel, stride, strict=True)
    )
    if any(extent < 1 for extent in out):
        padded = tuple(extent + 2 * p for extent, p in zip(shape[2:], padding, strict=True))
        raise ShapeMismatchError("convolution", f"a window no larger than the padded input {padded}", kernel)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    reached = [
        extent + 2 * p + min(s, span) for extent, p, s, span in zip(shape[2:], padding, stride, spans, strict=True)
    ]
    need_sane("convolution", (*shape[:2], *reached), (shape[0], weight._node.shape[0], *out))
    extras = () if bias is None else (bias,)
    result = (shape[0], weight._node.shape[0], *out)
    return make(
        "convolution", (input, weight, *extras), Geometry(stride, padding, dilation, groups), result, input._node.dtype
    )


def _same_padding(x: Tensor, kernel: Shape, dilation: Shape) -> tuple[Tensor, Shape]:
    """The padding that keeps the extents. Where it is odd the input gets the one more element at its end."""
    total = [step * (extent - 1) for extent, step in zip(kernel, dilation, strict=True)]
    if any(number % 2 for number in total):
        x = constant_pad(x, (0, 0) + (0,) * len(total), (0, 0, *[number % 2 for number in total]), 0)
    return x, tuple(number // 2 for number in total)


def _padding(name: str, padding: Any, rank: int, x: Tensor, kernel: Shape, stride: Shape, dilation: Shape) -> Any:
    if not isinstance(padding, str):
        return x, extents(name, padding, "padding", rank, low=0)
    if padding == "valid":
        return x, (0,) * rank
    if padding != "same":
        raise ArgumentError(name, "padding", f"must be integers, 'same' or 'valid', not {padding!r}")
    if any(step != 1 for step in stride):
        raise ArgumentError(name, "padding", "'same' is for a stride of 1 only")
    return _same_padding(x, kernel, dilation)


def _convolution(rank: int) -> Callable[..., Tensor]:
    name = f"conv{rank}d"

    def function(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Extents = 1,
        padding: Extents | str = 0,
        dilation: Extents = 1,
        groups: int = 1,
    ) -> Tensor:
        x, w, extra = checked_operands(name, rank, input, weight, bias)
        x, had_batch = batched(name, x, rank)
        count = checked_groups(name, groups)
        check_channels(name, x, w, count)
        check_bias(name, extra, w.shape[0])
        steps, spread = extents(name, stride, "stride", rank), extents(name, dilation, "dilation", rank)
        x, edge = _padding(name, padding, rank, x, w._node.shape[2:], steps, spread)
        return unbatched(convolution(x, w, extra, steps, edge, spread, count), had_batch)

    function.__name__ = name
    function.__doc__ = (
        f"Windows over {rank} axes of [N, C, ...] or [C, ...], weighted and summed: weight [out, C / groups, ...]."
    )
    return op(runs="composed", sample="conv", torch=f"nn.functional.{name}", methods=())(function)


conv1d, conv2d, conv3d = (_convolution(rank) for rank in (1, 2, 3))
