"""Rows, channels and batches brought to one scale."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ggml.core.dtypes import DType
from ggml.nn import functional as F
from ggml.onnx.call import Call
from ggml.onnx.step import Step
from ggml.onnx.table import from_onnx, to_onnx
from ggml.onnx.writer import Writer
from ggml.tensors.tensor import Tensor


@to_onnx("layer_norm")
def _layer_norm(w: Writer, step: Step) -> str:
    eps, width, has_weight = step.params
    first = _first_axis(step.shape, width)
    extras = step.inputs[1:]
    weight = extras.pop(0) if has_weight else _full(w, step.shape[first:], 1.0, step.dtype)
    return w.emit("LayerNormalization", step.inputs[0], weight, *extras, axis=first, epsilon=eps)


def _first_axis(shape: tuple[int, ...], width: int) -> int:
    """The first of the trailing axes that together have ``width`` elements."""
    at = len(shape) - 1
    while math.prod(shape[at:]) < width:
        at -= 1
    return at


def _full(w: Writer, shape: tuple[int, ...], value: float, dtype: DType) -> str:
    return w.cast(w.constant(np.full(shape, value, np.float32)), dtype)


@to_onnx("rms_norm")
def _rms_norm(w: Writer, step: Step) -> str:
    eps, width, has_weight = step.params
    x, dtype = step.inputs[0], step.dtype
    axes = w.ints(list(range(_first_axis(step.shape, width), len(step.shape))))
    mean = w.emit("ReduceMean", w.emit("Mul", x, x), axes, keepdims=1)
    result = w.emit("Div", x, w.emit("Sqrt", w.emit("Add", mean, w.scalar(eps, dtype))))
    return w.emit("Mul", result, step.inputs[1]) if has_weight else result


@to_onnx("group_norm")
def _group_norm(w: Writer, step: Step) -> str:
    """Groups as the channels of an instance norm: opset 18's own operation has one scale for a group."""
    groups, eps, has_weight = step.params
    x, shape = step.inputs[0], step.shape
    flat = w.emit("Reshape", x, w.ints([0, groups, -1]))
    one, none = (_full(w, (groups,), value, step.dtype) for value in (1.0, 0.0))
    normed = w.emit("InstanceNormalization", flat, one, none, epsilon=eps)
    result = w.emit("Reshape", normed, w.emit("Shape", x))
    for place, extra in enumerate(step.inputs[1:]):
        wide = w.emit("Reshape", extra, w.ints([shape[1], *[1] * (len(shape) - 2)]))
        result = w.emit("Mul" if has_weight and place == 0 else "Add", result, wide)
    return result


@from_onnx("BatchNormalization")
def _batch_norm(call: Call) -> Tensor:
    if call.attribute("training_mode", 0) or call.num_outputs > 1:
        raise call.refuse("batch normalisation in training mode; export the model in evaluation mode")
    x, weight, bias, mean, variance = (call.tensor(at) for at in range(5))
    return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, call.attribute("epsilon", 1e-5))


@from_onnx("LayerNormalization")
def _layer_norm_here(call: Call) -> Any:
    x = call.tensor(0)
    at = call.attribute("axis", -1)
    at = at + x.ndim if at < 0 else at
    shape, eps = tuple(x.shape[at:]), call.attribute("epsilon", 1e-5)
    result = _layer_normed(x, shape, call.tensor(1), call.tensor_or_none(2), eps)
    if call.num_outputs == 1:
        return result
    dims = list(range(at, x.ndim))
    mean = x.float().mean(dims, True)
    return result, mean, ((x.float() - mean).square().mean(dims, True) + eps).rsqrt()


def _layer_normed(x: Tensor, shape: tuple[int, ...], weight: Tensor, bias: Tensor | None, eps: float) -> Tensor:
    if tuple(weight.shape) == shape and (bias is None or tuple(bias.shape) == shape):
        return F.layer_norm(x, shape, weight, bias, eps)
    result = F.layer_norm(x, shape, None, None, eps) * weight
    return result if bias is None else result + bias


@from_onnx("RMSNormalization")
def _rms_norm_here(call: Call) -> Tensor:
    x = call.tensor(0)
    at = call.attribute("axis", -1)
    shape = tuple(x.shape[at + x.ndim if at < 0 else at :])
    weight, eps = call.tensor(1), call.attribute("epsilon", 1e-5)
    if tuple(weight.shape) == shape:
        return F.rms_norm(x, shape, weight, eps)
    return F.rms_norm(x, shape, None, eps) * weight


@from_onnx("GroupNormalization")
def _group_norm_here(call: Call) -> Tensor:
    x, weight, bias, groups = call.tensor(0), call.tensor(1), call.tensor(2), call.attribute("num_groups")
    if call.opset < 21:  # one scale for a group
        weight, bias = (one.repeat_interleave(x.shape[1] // max(groups, 1)) for one in (weight, bias))
    return F.group_norm(x, groups, weight, bias, call.attribute("epsilon", 1e-5))


@from_onnx("InstanceNormalization")
def _instance_norm(call: Call) -> Tensor:
    x = call.tensor(0)
    return F.group_norm(x, x.shape[1], call.tensor(1), call.tensor(2), call.attribute("epsilon", 1e-5))


@from_onnx("LpNormalization")
def _lp_norm(call: Call) -> Tensor:
    return F.normalize(call.tensor(0), float(call.attribute("p", 2)), call.attribute("axis", -1))


@from_onnx("LRN")
def _lrn(call: Call) -> Tensor:
    size = call.attribute("size")
    if size % 2 == 0:
        raise call.refuse("an even size, whose middle is another one here")
    alpha, beta, bias = (call.attribute(name, by) for name, by in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    return F.local_response_norm(call.tensor(0), size, alpha, beta, bias)


@from_onnx("MeanVarianceNormalization")
def _mean_variance(call: Call) -> Tensor:
    x, dims = call.tensor(0), list(call.attribute("axes", [0, 2, 3]))
    centred = x - x.mean(dims, True)
    return centred / (centred.square().mean(dims, True).sqrt() + 1e-9)
