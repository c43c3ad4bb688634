"""Convolutions and their transposes, over one to three axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ggml.core.errors import ShapeMismatchError
from ggml.nn import functional as F
from ggml.onnx.call import Call
from ggml.onnx.step import Step
from ggml.onnx.table import from_onnx, to_onnx
from ggml.onnx.writer import Writer
from ggml.tensors.tensor import Tensor


@to_onnx("convolution")
def _conv(w: Writer, step: Step) -> str:
    stride, padding, dilation, groups = step.params
    return w.emit(
        "Conv", *step.inputs, kernel_shape=list(step.input_shapes[1][2:]), strides=list(stride),
        pads=[*padding, *padding], dilations=list(dilation), group=groups,
    )  # fmt: skip


@to_onnx("transposed_convolution")
def _conv_transpose(w: Writer, step: Step) -> str:
    stride, padding, dilation, groups = step.params
    kernel, (source, *_) = step.input_shapes[1][2:], step.input_shapes
    geometry = zip(source[2:], step.shape[2:], stride, padding, dilation, kernel, strict=True)
    more = [out - ((n - 1) * s - 2 * p + d * (k - 1) + 1) for n, out, s, p, d, k in geometry]
    return w.emit(
        "ConvTranspose", *step.inputs, kernel_shape=list(kernel), strides=list(stride), pads=[*padding, *padding],
        dilations=list(dilation), group=groups, output_padding=more,
    )  # fmt: skip


def same_pads(call: Call, shape: Sequence[int], spans: Sequence[int], strides: Sequence[int]) -> list[int] | None:
    """Elements before and behind each axis that ``auto_pad`` asks for; None where it asks for none."""
    how = call.attribute("auto_pad", "NOTSET")
    if how in ("NOTSET", ""):
        return None
    if how == "VALID":
        return [0] * (2 * len(spans))
    if how not in ("SAME_UPPER", "SAME_LOWER"):
        raise call.refuse(f"auto_pad {how!r}")
    low, high = [], []
    for extent, span, step in zip(shape, spans, strides, strict=True):
        total = max((-(-extent // step) - 1) * step + span - extent, 0)
        small, large = total // 2, total - total // 2
        low.append(small if how == "SAME_UPPER" else large)
        high.append(large if how == "SAME_UPPER" else small)
    return [*low, *high]


def needs_rank(call: Call, x: Tensor) -> int:
    """The number of axes behind batch and channels: one to three."""
    if not 3 <= x.ndim <= 5:
        raise ShapeMismatchError(call.where, "an input [N, C, ...] with one to three axes more", tuple(x.shape))
    return x.ndim - 2


def per_axis(call: Call, name: str, rank: int, default: int) -> list[int]:
    """An attribute with a number for each axis."""
    found = list(call.attribute(name) or [default] * rank)
    if len(found) != rank:
        raise ShapeMismatchError(call.where, f"{rank} numbers in {name}", tuple(found))
    return found


@from_onnx("Conv")
def _conv_here(call: Call) -> Tensor:
    x, weight = call.tensor(0), call.tensor(1)
    rank = needs_rank(call, x)
    stride, dilation = per_axis(call, "strides", rank, 1), per_axis(call, "dilations", rank, 1)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True)]
    pads = same_pads(call, x.shape[2:], spans, stride) or per_axis(call, "pads", 2 * rank, 0)
    low, high = pads[:rank], pads[rank:]
    if low != high:
        x, low = padded(x, low, high, 0.0), [0] * rank
    function: Any = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
    return function(x, weight, call.tensor_or_none(2), stride, low, dilation, call.attribute("group", 1))  # type: ignore[no-any-return]


def padded(x: Tensor, low: Sequence[int], high: Sequence[int], value: float) -> Tensor:
    """Elements added at the ends of the last axes."""
    sides = [side for pair in zip(reversed(low), reversed(high), strict=True) for side in pair]
    return F.pad(x, sides, "constant", value)


@from_onnx("ConvTranspose")
def _conv_transpose_here(call: Call) -> Tensor:
    x, weight = call.tensor(0), call.tensor(1)
    rank = needs_rank(call, x)
    stride, dilation = per_axis(call, "strides", rank, 1), per_axis(call, "dilations", rank, 1)
    more = per_axis(call, "output_padding", rank, 0)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True)]
    whole = [(n - 1) * s + span for n, s, span in zip(x.shape[2:], stride, spans, strict=True)]
    wanted = _wanted(call, x, stride, rank)
    if wanted is None:
        pads = per_axis(call, "pads", 2 * rank, 0)
        wanted = [n + m - a - z for n, m, a, z in zip(whole, more, pads[:rank], pads[rank:], strict=True)]
        low = pads[:rank]
    else:
        cut = [n + m - out for n, m, out in zip(whole, more, wanted, strict=True)]
        upper = call.attribute("auto_pad", "NOTSET") == "SAME_UPPER"
        low = [one // 2 if upper else one - one // 2 for one in cut]
    function: Any = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[rank - 1]
    # The whole result, cut to what is wanted: pads may differ at the two ends, and then no padding says it.
    args = (x, weight, None, stride, 0, 0, call.attribute("group", 1), dilation)
    result: Tensor = function(*args)
    high = [out + a - n for n, a, out in zip(whole, low, wanted, strict=True)]
    result = padded(result, [-one for one in low], high, 0.0)
    bias = call.tensor_or_none(2)
    return result if bias is None else result + bias.reshape(-1, *[1] * rank)


def _wanted(call: Call, x: Tensor, stride: list[int], rank: int) -> list[int] | None:
    """The extents of the result where the node names them; else its pads do."""
    if call.attribute("output_shape"):
        return list(call.attribute("output_shape"))[-rank:]
    if call.attribute("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
        return [n * s for n, s in zip(x.shape[2:], stride, strict=True)]
    return None
