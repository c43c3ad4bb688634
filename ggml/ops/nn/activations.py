"""Activation functions. ``nn.functional`` is where PyTorch keeps most of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ggml.core.dtypes import F32, NUMERIC, float32
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.graph.builder import Lower
from ggml.ops.elementwise.pointwise import kernel, native
from ggml.ops.elementwise.selection import bounded, where
from ggml.ops.shape.cutting import narrow
from ggml.registry.arguments import choice, convert, number, strictly_floating, tensor
from ggml.registry.table import Function, make, op
from ggml.tensors.tensor import Tensor, filled
from ggml.tensors.transfer import axis

_FUNCTIONAL = "nn.functional."


def _lower_relu(b: Any, values: Any, params: Any, node: Any) -> Any:
    if values[0].type == F32:
        return kernel("relu", "relu")(b, values, params, node)
    return b.map("maximum", values[0], b.scalar(0, values[0].type), shape=node.shape)


@op(runs="kernel", sample="unary", lower=_lower_relu, dtypes=NUMERIC, inplace=True)
def relu(input: Tensor) -> Tensor:
    """The larger of the element and 0; a NaN stays."""
    x = tensor("relu", input)
    if x.dtype not in NUMERIC:
        raise DTypeError("relu", "numbers", x.dtype)
    return make("relu", (x,), (), x._node.shape, x._node.dtype)


def _activation(name: str, lower: Lower, text: str, differs: str = "") -> Callable[[Tensor], Tensor]:
    def function(input: Tensor) -> Tensor:
        x = strictly_floating(name, input)
        return make(name, (x,), (), x._node.shape, x._node.dtype)

    function.__name__, function.__doc__ = name, text
    row = op(runs="ggml", sample="unary", lower=lower, torch=_FUNCTIONAL + name, differs=differs, methods=())
    return row(function)


silu = _activation("silu", native("silu"), "``input * sigmoid(input)``.")
hardswish = _activation("hardswish", native("hardswish"), "``input * clamp(input + 3, 0, 6) / 6``.")
hardsigmoid = _activation("hardsigmoid", kernel("hardsigmoid", "hardsigmoid"), "``clamp(input + 3, 0, 6) / 6``.")


def _lower_gelu(b: Any, values: Any, params: Any, node: Any) -> Any:
    x = values[0]
    if params[0] == "none":
        return b.exp_rows("gelu", x) if b.device.is_cpu else b.unary("gelu_erf", x)
    # ggml's own tanh form reads a table of 16-bit results; this one is exact.
    cubed = b.binary("mul", b.unary("sqr", x), x, x.shape)
    inner = b.binary("add", x, b.scale(cubed, 0.044715), x.shape)
    share = b.scale(b.exponential("tanh", b.scale(inner, math.sqrt(2 / math.pi))), 0.5, 0.5)
    return b.binary("mul", x, share, x.shape)


@op(
    runs="ggml",
    sample="gelu",
    lower=_lower_gelu,
    torch=_FUNCTIONAL + "gelu",
    methods=(),
    differs="gelu(inf) is inf; PyTorch answers NaN.",
)
def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """``input`` times the share of a normal distribution below it; ``approximate="tanh"`` is the usual stand-in."""
    x = strictly_floating("gelu", input)
    how = choice("gelu", "approximate", approximate, ("none", "tanh"))
    return make("gelu", (x,), (how,), x._node.shape, x._node.dtype)


def _composed(sample: str = "unary", methods: tuple[str, ...] = ()) -> Callable[[Function], Function]:
    def enter(function: Function) -> Function:
        where_torch = _FUNCTIONAL + function.__name__
        return op(runs="composed", sample=sample, torch=where_torch, methods=methods)(function)

    return enter


@_composed()
def relu6(input: Tensor) -> Tensor:
    """``clamp(input, 0, 6)``."""
    return bounded(strictly_floating("relu6", input), 0.0, 6.0)


@_composed("hardtanh")
def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """``clamp(input, min_val, max_val)``."""
    low, high = number("hardtanh", min_val, "min_val"), number("hardtanh", max_val, "max_val")
    if low > high:
        raise ArgumentError("hardtanh", "min_val", f"must not be above max_val: {low}, {high}")
    return bounded(strictly_floating("hardtanh", input), float(low), float(high))


@_composed("slope")
def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """The element, or ``negative_slope`` times it below 0."""
    x = strictly_floating("leaky_relu", input)
    return where(x.gt(0), x, x * float(number("leaky_relu", negative_slope, "negative_slope")))


@_composed("prelu")
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """``leaky_relu`` with one slope, or one for each channel (axis 1)."""
    x, slope = strictly_floating("prelu", input), strictly_floating("prelu", weight, "weight")
    if slope.numel() != 1:
        if slope.ndim != 1 or x.ndim < 2 or slope.shape[0] != x.shape[1]:
            raise ShapeMismatchError("prelu", "one slope for each channel", (tuple(x.shape), tuple(slope.shape)))
        slope = slope.reshape(-1, *[1] * (x.ndim - 2))
    else:
        slope = slope.reshape(())
    return where(x.gt(0), x, x * slope)


@_composed("slope")
def elu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """The element, or ``alpha * (exp(input) - 1)`` below 0."""
    x = strictly_floating("elu", input)
    return where(x.gt(0), x, x.clamp(max=0.0).expm1() * float(number("elu", alpha, "alpha")))


@_composed()
def selu(input: Tensor) -> Tensor:
    """``elu`` with the constants that keep mean and variance."""
    x = strictly_floating("selu", input)
    return elu(x, 1.6732632423543772) * 1.0507009873554805


@_composed("slope")
def celu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """The element, or ``alpha * (exp(input / alpha) - 1)`` below 0."""
    x, scale = strictly_floating("celu", input), float(number("celu", alpha, "alpha"))
    if scale == 0:
        raise ArgumentError("celu", "alpha", "must not be 0")
    return where(x.gt(0), x, (x.clamp(max=0.0) / scale).expm1() * scale)


@_composed("softplus")
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """``log(1 + exp(beta * input)) / beta``; the element itself where ``beta * input`` is above ``threshold``."""
    x = strictly_floating("softplus", input)
    slope, limit = float(number("softplus", beta, "beta")), float(number("softplus", threshold, "threshold"))
    limit = limit if limit == limit else math.inf
    wide = convert(x, float32)
    scaled = wide * slope
    return convert(where(scaled.gt(limit), wide, scaled.clamp(max=limit).exp().log1p() / slope), x.dtype)


@_composed()
def mish(input: Tensor) -> Tensor:
    """``input * tanh(softplus(input))``."""
    x = strictly_floating("mish", input)
    return x * softplus(x).tanh()


@_composed()
def softsign(input: Tensor) -> Tensor:
    """``input / (1 + |input|)``."""
    x = strictly_floating("softsign", input)
    return x / (x.abs() + 1)


@_composed()
def tanhshrink(input: Tensor) -> Tensor:
    """``input - tanh(input)``."""
    x = strictly_floating("tanhshrink", input)
    return x - x.tanh()


@_composed()
def logsigmoid(input: Tensor) -> Tensor:
    """``log(sigmoid(input))`` without overflow."""
    x = strictly_floating("logsigmoid", input)
    # The smaller of two: at 0 each has half of the derivative, as it must be.
    return x.minimum(filled((), 0.0, x.dtype, x.device)) - x.abs().neg().exp().log1p()


@_composed("glu")
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half along ``dim`` times the sigmoid of the second."""
    x = strictly_floating("glu", input)
    at = axis("glu", dim, x.ndim)
    if not x.ndim or x.shape[at] % 2:
        raise ShapeMismatchError("glu", f"an even extent in dim {dim}", tuple(x.shape))
    half = x.shape[at] // 2
    return narrow(x, at, 0, half) * narrow(x, at, half, half).sigmoid()
