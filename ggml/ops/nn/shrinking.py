"""Activations that leave out a band around 0, or draw their slope."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core import tracing
from ggml.core.errors import ArgumentError
from ggml.ops.create.random import default_generator, drawn
from ggml.ops.elementwise.selection import where
from ggml.registry.arguments import Number, number, strictly_floating
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor


@op(runs="composed", sample="threshold", torch="nn.functional.threshold", methods=())
def threshold(input: Tensor, threshold: Number, value: Number, inplace: bool = False) -> Tensor:
    """The element where it is above ``threshold``, else ``value``."""
    x = strictly_floating("threshold", input)
    bound, other = float(number("threshold", threshold, "threshold")), float(number("threshold", value, "value"))
    result = where(x.le(bound), other, x)
    return x._assign(result, "threshold") if inplace else result


@op(runs="composed", sample="lambd", torch="nn.functional.hardshrink", methods=("hardshrink",))
def hardshrink(input: Tensor, lambd: Number = 0.5) -> Tensor:
    """The element, or 0 where it lies in [-lambd, lambd]."""
    x = strictly_floating("hardshrink", input)
    bound = float(number("hardshrink", lambd, "lambd"))
    return where(x.ge(-bound).logical_and(x.le(bound)), 0.0, x)


@op(runs="composed", sample="lambd", torch="nn.functional.softshrink", methods=())
def softshrink(input: Tensor, lambd: Number = 0.5) -> Tensor:
    """The element moved towards 0 by ``lambd``, which must not be negative; 0 if it lies within."""
    x = strictly_floating("softshrink", input)
    bound = float(number("softshrink", lambd, "lambd"))
    if not bound >= 0:
        raise ArgumentError("softshrink", "lambd", f"must not be negative: {lambd}")
    return where(x.gt(bound), x - bound, where(x.lt(-bound), x + bound, x * 0.0))


@op(
    runs="composed",
    sample="rrelu",
    torch="nn.functional.rrelu",
    methods=(),
    differs="Slopes are drawn on the host, so that training is compiled by ``compile_step`` only.",
)
def rrelu(
    input: Tensor, lower: Number = 1 / 8, upper: Number = 1 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """``leaky_relu`` with the slope between the bounds; while training each element draws its own from there."""
    x = strictly_floating("rrelu", input)
    low, high = float(number("rrelu", lower, "lower")), float(number("rrelu", upper, "upper"))
    if not low <= high:
        raise ArgumentError("rrelu", "lower", f"must not be above upper: {lower}, {upper}")
    slope = _drawn(x, low, high) if training else (low + high) / 2
    result = where(x.gt(0), x, x * slope)
    return x._assign(result, "rrelu") if inplace else result


def _drawn(x: Tensor, low: float, high: float) -> Tensor:
    tracing.refuse_change("rrelu")  # one draw would be kept for every call
    shape = x._node.shape

    def draw() -> NDArray[Any]:
        return np.asarray(default_generator.uniform(shape) * np.float32(high - low) + np.float32(low), np.float32)

    return drawn(draw, shape, x.dtype, x.device)
