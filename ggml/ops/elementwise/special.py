"""Functions of one operand that are composed of others: angles, logits, signs, powers in float32."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import F32, NUMERIC, PLAIN
from ggml.core.errors import DTypeError
from ggml.core.node import Node
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.ops.elementwise.binary import Operand
from ggml.ops.elementwise.selection import where
from ggml.registry.arguments import convert, floating, number, tensor
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor, filled


def _scaled(name: str, factor: float, text: str) -> Callable[[Tensor], Tensor]:
    def function(input: Tensor) -> Tensor:
        return floating(name, input) * factor

    function.__name__, function.__doc__ = name, text
    return op(runs="composed", sample="unary", dtypes=PLAIN, inplace=True)(function)


deg2rad = _scaled("deg2rad", math.pi / 180, "Degrees as radians.")
rad2deg = _scaled("rad2deg", 180 / math.pi, "Radians as degrees.")


@op(runs="composed", sample="unary_any_number", dtypes=PLAIN, inplace=True)
def sinc(input: Tensor) -> Tensor:
    """``sin(pi * input) / (pi * input)``, and 1 at 0."""
    x = floating("sinc", input)
    angle = convert(x, dtypes.float32) * math.pi
    other = where(angle.eq(0), 1.0, angle)  # what is not chosen must not be NaN: its gradient would be, too
    return convert(where(angle.eq(0), 1.0, other.sin() / other), x.dtype)


@op(runs="composed", sample="logit", inplace=True)
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """``log(input / (1 - input))``; with ``eps`` the input is first clamped to [eps, 1 - eps]."""
    x = floating("logit", input)
    share = convert(x, dtypes.float32)
    if eps is not None:
        least = float(number("logit", eps, "eps"))
        share = where(share.gt(1 - least), 1 - least, where(share.lt(least), least, share))
    return convert((share / (1 - share)).log(), x.dtype)


def _lower_signbit(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    if values[0].type == F32:
        return b.map("signbit", values[0])
    return b.map("lt", values[0], b.scalar(0, values[0].type), shape=node.shape)


@op(runs="kernel", sample="unary_special", lower=_lower_signbit, dtypes=PLAIN)
def signbit(input: Tensor) -> Tensor:
    """Whether the sign is set: of negative elements, and of -0.0."""
    x = tensor("signbit", input)
    return make("signbit", (x,), (), x._node.shape, dtypes.bool_)


def _infinite(name: str, value: float, text: str) -> Callable[[Tensor], Tensor]:
    def function(input: Tensor) -> Tensor:
        x = tensor(name, input)
        return x.eq(value) if x.is_floating_point() else convert(x.isinf(), dtypes.bool_)

    function.__name__, function.__doc__ = name, text
    return op(runs="composed", sample="unary_special", dtypes=PLAIN)(function)


isposinf = _infinite("isposinf", math.inf, "Whether an element is infinite and positive.")
isneginf = _infinite("isneginf", -math.inf, "Whether an element is infinite and negative.")


@op(runs="composed", sample="unary_special", dtypes=PLAIN)
def isreal(input: Tensor) -> Tensor:
    """Whether an element is a real number: always, there are no others."""
    x = tensor("isreal", input)
    return filled((), True, dtypes.bool_, x.device).expand(tuple(x.shape))


@op(runs="composed", sample="unary_any", dtypes=NUMERIC)
def positive(input: Tensor) -> Tensor:
    """The tensor itself."""
    x = tensor("positive", input)
    if x.dtype is dtypes.bool_:
        raise DTypeError("positive", "numbers", x.dtype)
    return x


def _bounded(name: str, text: str, is_lower: bool) -> Callable[..., Tensor]:
    def low(input: Tensor, min: Operand) -> Tensor:
        return tensor(name, input).clamp(min=min)

    def high(input: Tensor, max: Operand) -> Tensor:
        return tensor(name, input).clamp(max=max)

    function: Callable[..., Tensor] = low if is_lower else high
    function.__name__, function.__doc__ = name, text
    return op(runs="composed", sample="clamp_one", dtypes=NUMERIC, inplace=True)(function)


clamp_min = _bounded("clamp_min", "Elements below ``min`` become ``min``.", True)
clamp_max = _bounded("clamp_max", "Elements above ``max`` become ``max``.", False)
