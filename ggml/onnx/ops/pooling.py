"""The mean or the largest element of windows."""

from __future__ import annotations

from typing import Any

import numpy as np

from ggml.core.errors import UnsupportedOpError
from ggml.nn import functional as F
from ggml.onnx.call import Call
from ggml.onnx.ops.convolutions import needs_rank, padded, per_axis, same_pads
from ggml.onnx.step import Step
from ggml.onnx.table import from_onnx, to_onnx
from ggml.onnx.writer import Writer
from ggml.ops.create.factories import ones
from ggml.tensors.tensor import Tensor


@to_onnx("window_mean", "window_max")
def _pool(w: Writer, step: Step) -> str:
    rank, geometry = step.params
    is_mean = step.row == "window_mean"
    if geometry[0]:
        return _adaptive(w, step, rank, is_mean)
    kernel, stride, low, dilation = (list(geometry[1 + 3 * at : 4 + 3 * at])[-rank:] for at in range(4))
    counts, divisor = geometry[13:15]
    source, result = step.input_shapes[0][-rank:], step.shape[-rank:]
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    floors = [(n + 2 * p - k) // s + 1 for n, p, k, s in zip(source, low, spans, stride, strict=True)]
    attributes: dict[str, Any] = {
        "kernel_shape": kernel, "strides": stride, "pads": [*low, *low], "ceil_mode": int(list(result) != floors),
    }  # fmt: skip
    if not is_mean:
        return w.emit("MaxPool", step.inputs[0], dilations=dilation, **attributes)
    mean = w.emit("AveragePool", step.inputs[0], count_include_pad=int(counts or divisor > 0), **attributes)
    return mean if not divisor else w.emit("Mul", mean, w.scalar(float(np.prod(kernel)) / divisor, step.dtype))


def _adaptive(w: Writer, step: Step, rank: int, is_mean: bool) -> str:
    """Into so many parts: of equal size, or all in one."""
    source, result = step.input_shapes[0][-rank:], step.shape[-rank:]
    kind = "Average" if is_mean else "Max"
    if all(extent == 1 for extent in result):
        return w.emit(f"Global{kind}Pool", step.inputs[0])
    if any(step.varying(lambda one: one.inputs[0][-rank:])) or any(
        n % out for n, out in zip(source, result, strict=True)
    ):
        raise UnsupportedOpError(
            "onnx.export: adaptive pooling", "ONNX", f"{source} is not a fixed multiple of {result}; pool windows"
        )
    kernel = [n // out for n, out in zip(source, result, strict=True)]
    return w.emit(f"{kind}Pool", step.inputs[0], kernel_shape=kernel, strides=kernel)


@from_onnx("GlobalAveragePool", "GlobalMaxPool")
def _global(call: Call) -> Tensor:
    x = call.tensor(0)
    dims = list(range(2, x.ndim))
    return x.mean(dims, True) if call.op == "GlobalAveragePool" else x.amax(dims, True)


def _geometry(call: Call, x: Tensor) -> tuple[list[int], list[int], list[int], list[int], list[int]]:
    """Kernel, stride, dilation, and pads that make a pool without ``ceil_mode`` give what the node does."""
    rank = needs_rank(call, x)
    kernel = per_axis(call, "kernel_shape", rank, 1)
    stride, dilation = per_axis(call, "strides", rank, 1), per_axis(call, "dilations", rank, 1)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    pads = same_pads(call, x.shape[2:], spans, stride) or per_axis(call, "pads", 2 * rank, 0)
    if call.attribute("ceil_mode", 0):
        for at in range(rank):
            extent = x.shape[2 + at] + pads[at] + pads[rank + at]
            windows = -(-(extent - spans[at]) // stride[at]) + 1
            if (windows - 1) * stride[at] >= x.shape[2 + at] + pads[at]:
                windows -= 1  # the last window has to begin inside
            pads[rank + at] += max((windows - 1) * stride[at] + spans[at] - extent, 0)
    return kernel, stride, dilation, pads[:rank], pads[rank:]


@from_onnx("MaxPool")
def _max_pool(call: Call) -> Any:
    x = call.tensor(0)
    rank = needs_rank(call, x)
    kernel, stride, dilation, low, high = _geometry(call, x)
    if call.num_outputs > 1:
        raise call.refuse("the places of the largest elements")
    function: Any = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[rank - 1]
    if low == high and all(2 * p <= k for p, k in zip(low, kernel, strict=True)):
        return function(x, kernel, stride, low, dilation)
    least = float("-inf") if x.is_floating_point() else -(1 << 31)
    return function(padded(x, low, high, least), kernel, stride, 0, dilation)


def _means(call: Call, x: Tensor, dilated: str) -> tuple[Any, list[int], list[int], list[int], list[int]]:
    """The function that takes means over windows, their kernel and stride, and pads; `dilated` is refused."""
    kernel, stride, dilation, low, high = _geometry(call, x)
    if any(step != 1 for step in dilation):
        raise call.refuse(dilated)
    return (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[x.ndim - 3], kernel, stride, low, high


@from_onnx("AveragePool")
def _average_pool(call: Call) -> Tensor:
    x = call.tensor(0)
    rank = needs_rank(call, x)
    function, kernel, stride, low, high = _means(call, x, "dilation of a mean; use a convolution")
    counts = bool(call.attribute("count_include_pad", 0))
    has_ceil = bool(call.attribute("ceil_mode", 0))
    if low == high and not has_ceil and all(2 * p <= k for p, k in zip(low, kernel, strict=True)):
        return function(x, kernel, stride, low, False, counts)  # type: ignore[no-any-return]
    # The mean of elements over the mean of what counts: what lies behind the asked padding never does.
    whole: Tensor = function(padded(x, low, high, 0.0), kernel, stride)
    counted = ones(1, 1, *x.shape[2:], dtype=x.dtype, device=x.device)
    if counts:
        asked = same_pads(call, x.shape[2:], kernel, stride) or per_axis(call, "pads", 2 * rank, 0)
        counted = padded(counted, asked[:rank], asked[rank:], 1.0)
        low, high = [0] * rank, [h - a for h, a in zip(high, asked[rank:], strict=True)]
    share: Tensor = function(padded(counted, low, high, 0.0), kernel, stride)
    return whole / share


@from_onnx("LpPool")
def _lp_pool(call: Call) -> Tensor:
    x = call.tensor(0)
    function, kernel, stride, low, high = _means(call, x, "dilation of a norm")
    power = float(call.attribute("p", 2))
    mean: Tensor = function(padded(x.abs().pow(power), low, high, 0.0), kernel, stride)
    return (mean * float(np.prod(kernel))).pow(1 / power)


@from_onnx("GlobalLpPool")
def _global_lp(call: Call) -> Tensor:
    x, power = call.tensor(0), float(call.attribute("p", 2))
    return x.abs().pow(power).sum(list(range(2, x.ndim)), True).pow(1 / power)
