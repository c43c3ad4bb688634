"""Activation functions that are more than one operation of arithmetic."""

from __future__ import annotations

import math
from typing import Any

from ggml.nn import functional as F
from ggml.onnx.call import Call
from ggml.onnx.step import Step
from ggml.onnx.table import from_onnx, to_onnx
from ggml.onnx.writer import Writer
from ggml.ops.elementwise.selection import where
from ggml.tensors.tensor import Tensor


@to_onnx("silu")
def _silu(w: Writer, step: Step) -> str:
    return w.emit("Mul", step.inputs[0], w.emit("Sigmoid", step.inputs[0]))


@to_onnx("hardswish")
def _hardswish(w: Writer, step: Step) -> str:
    return w.emit("HardSwish", step.inputs[0])


@to_onnx("hardsigmoid")
def _hardsigmoid(w: Writer, step: Step) -> str:
    return w.emit("HardSigmoid", step.inputs[0], alpha=1 / 6, beta=0.5)


def gelu(w: Writer, step: Step, approximate: str) -> str:
    """An operation of its own from opset 20 on."""
    x = step.inputs[0]
    if w.opset >= 20:
        return w.emit("Gelu", x, approximate=approximate)
    half, one = w.scalar(0.5, step.dtype), w.scalar(1.0, step.dtype)
    if approximate == "none":
        share = w.emit("Erf", w.emit("Mul", x, w.scalar(math.sqrt(0.5), step.dtype)))
    else:
        cubed = w.emit("Mul", w.emit("Mul", w.emit("Mul", x, x), x), w.scalar(0.044715, step.dtype))
        inner = w.emit("Mul", w.emit("Add", x, cubed), w.scalar(math.sqrt(2 / math.pi), step.dtype))
        share = w.emit("Tanh", inner)
    return w.emit("Mul", w.emit("Mul", x, half), w.emit("Add", share, one))


@to_onnx("gelu")
def _gelu(w: Writer, step: Step) -> str:
    return gelu(w, step, step.params[0])


@to_onnx("swiglu")
def _swiglu(w: Writer, step: Step) -> str:
    return w.emit("Mul", _silu(w, step), step.inputs[1])


@to_onnx("geglu")
def _geglu(w: Writer, step: Step) -> str:
    return w.emit("Mul", gelu(w, step, "none"), step.inputs[1])


@to_onnx("softmax", "log_softmax")
def _softmax(w: Writer, step: Step) -> str:
    op = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}[step.row]
    return w.emit(op, step.inputs[0], axis=step.params[0])


@from_onnx("Softmax", "LogSoftmax")
def _softmax_here(call: Call) -> Tensor:
    x = call.tensor(0)
    function: Any = F.softmax if call.op == "Softmax" else F.log_softmax
    if call.opset >= 13:
        return function(x, call.attribute("axis", -1))  # type: ignore[no-any-return]
    # Before opset 13 all axes from this one on are one.
    at = call.attribute("axis", 1)
    at = at + x.ndim if at < 0 else at
    flat = x.reshape(math.prod(x.shape[:at]), -1)
    return function(flat, 1).reshape(x.shape)  # type: ignore[no-any-return]


@from_onnx("Gelu")
def _gelu_here(call: Call) -> Tensor:
    return F.gelu(call.tensor(0), call.attribute("approximate", "none"))


@from_onnx("LeakyRelu")
def _leaky_relu(call: Call) -> Tensor:
    return F.leaky_relu(call.tensor(0), call.attribute("alpha", 0.01))


@from_onnx("PRelu")
def _prelu(call: Call) -> Tensor:
    x, slope = call.tensor(0), call.tensor(1)
    return where(x.gt(0), x, x * slope)


@from_onnx("Elu")
def _elu(call: Call) -> Tensor:
    return F.elu(call.tensor(0), call.attribute("alpha", 1.0))


@from_onnx("Celu")
def _celu(call: Call) -> Tensor:
    return F.celu(call.tensor(0), call.attribute("alpha", 1.0))


@from_onnx("Selu")
def _selu(call: Call) -> Tensor:
    x = call.tensor(0)
    alpha, gamma = call.attribute("alpha", 1.6732631921768188), call.attribute("gamma", 1.0507010221481323)
    scaled: Tensor = F.elu(x, alpha) * gamma
    return scaled


@from_onnx("HardSigmoid")
def _hardsigmoid_here(call: Call) -> Tensor:
    x, slope, offset = call.tensor(0), call.attribute("alpha", 0.2), call.attribute("beta", 0.5)
    if abs(slope - 1 / 6) < 1e-6 and offset == 0.5:
        return F.hardsigmoid(x)
    bounded: Tensor = (x * slope + offset).clamp(0.0, 1.0)
    return bounded


@from_onnx("HardSwish")
def _hardswish_here(call: Call) -> Tensor:
    return F.hardswish(call.tensor(0))


@from_onnx("Softplus")
def _softplus(call: Call) -> Tensor:
    return F.softplus(call.tensor(0))


@from_onnx("Softsign")
def _softsign(call: Call) -> Tensor:
    return F.softsign(call.tensor(0))


@from_onnx("Mish")
def _mish(call: Call) -> Tensor:
    return F.mish(call.tensor(0))


@from_onnx("Swish")
def _swish(call: Call) -> Tensor:
    x, slope = call.tensor(0), call.attribute("alpha", 1.0)
    return F.silu(x) if slope == 1 else x * (x * slope).sigmoid()


@from_onnx("ThresholdedRelu")
def _thresholded(call: Call) -> Tensor:
    x = call.tensor(0)
    return where(x.gt(call.attribute("alpha", 1.0)), x, 0.0)
