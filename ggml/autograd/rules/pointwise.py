"""One operand, element by element. Each line is the derivative of a function, as a function of operand and result."""

from __future__ import annotations

import math
from collections.abc import Callable

from ggml.autograd.derivative import Gradients, Step, derivative, nothing
from ggml.ops.elementwise.selection import where
from ggml.tensors.tensor import Tensor

_LN2, _LN10, _ROOT_PI = math.log(2), math.log(10), math.sqrt(math.pi)


def of_operand(name: str, slope: Callable[[Tensor], Tensor]) -> None:
    """The derivative is ``slope`` of the operand."""
    derivative(name)(lambda step, g: (g * slope(step[0]),))


def _of_result(name: str, slope: Callable[[Tensor], Tensor]) -> None:
    """The derivative is ``slope`` of the result."""
    derivative(name)(lambda step, g: (g * slope(step.result),))


_of_result("exp", lambda y: y)
_of_result("expm1", lambda y: y + 1)
_of_result("exp2", lambda y: y * _LN2)
_of_result("tanh", lambda y: 1 - y * y)
_of_result("sigmoid", lambda y: y * (1 - y))
_of_result("tan", lambda y: 1 + y * y)
_of_result("rsqrt", lambda y: -0.5 * y * y * y)
_of_result("reciprocal", lambda y: -y * y)
derivative("log")(lambda step, g: (g / step[0],))
derivative("log1p")(lambda step, g: (g / (step[0] + 1),))
derivative("log2")(lambda step, g: (g / (step[0] * _LN2),))
derivative("log10")(lambda step, g: (g / (step[0] * _LN10),))
derivative("neg")(lambda step, g: (-g,))
derivative("abs")(lambda step, g: (g * step[0].sign(),))
of_operand("sin", lambda x: x.cos())
of_operand("cos", lambda x: -x.sin())
of_operand("asin", lambda x: (1 - x * x).rsqrt())
of_operand("acos", lambda x: -(1 - x * x).rsqrt())
of_operand("atan", lambda x: 1 / (x * x + 1))
of_operand("sinh", lambda x: x.cosh())
of_operand("cosh", lambda x: x.sinh())
of_operand("asinh", lambda x: (x * x + 1).rsqrt())
of_operand("acosh", lambda x: (x * x - 1).rsqrt())
of_operand("atanh", lambda x: 1 / (1 - x * x))
of_operand("erf", lambda x: (2 / _ROOT_PI) * (-(x * x)).exp())
of_operand("erfc", lambda x: (-2 / _ROOT_PI) * (-(x * x)).exp())
_of_result("erfinv", lambda y: (_ROOT_PI / 2) * (y * y).exp())
of_operand("lgamma", lambda x: x.digamma())
of_operand("digamma", lambda x: x.polygamma(1))
_of_result("ndtri", lambda y: math.sqrt(2 * math.pi) * (y * y / 2).exp())


@derivative("sqrt")
def _sqrt(step: Step, g: Tensor) -> Gradients:
    y = step.result
    if step.params:  # of a norm, which is 0 where all elements are
        return (where(y.eq(0), 0.0, g / (2 * where(y.eq(0), 1.0, y))),)
    return (g / (2 * y),)


@derivative("sign", "floor", "ceil", "round", "trunc")
def _flat(step: Step, g: Tensor) -> Gradients:
    return (nothing(g),)


@derivative("frac", "to", "copied", "alias", "mark")
def _same(step: Step, g: Tensor) -> Gradients:
    return (g,)


@derivative("to_device")
def _moved(step: Step, g: Tensor) -> Gradients:
    return (g.to_device(step._recorded.inputs[0][0].device),)


@derivative("relu")
def _relu(step: Step, g: Tensor) -> Gradients:
    return (where(step.result.gt(0), g, 0.0),)


@derivative("silu")
def _silu(step: Step, g: Tensor) -> Gradients:
    x = step[0]
    share = x.sigmoid()
    return (g * (share * (1 + x * (1 - share))),)


@derivative("hardswish")
def _hardswish(step: Step, g: Tensor) -> Gradients:
    x = step[0]
    inner = where(x.le(-3), 0.0, where(x.lt(3), x / 3 + 0.5, 1.0))
    return (g * inner,)


@derivative("hardsigmoid")
def _hardsigmoid(step: Step, g: Tensor) -> Gradients:
    x = step[0]
    return (where(x.gt(-3).logical_and(x.lt(3)), g / 6, 0.0),)


@derivative("gelu")
def _gelu(step: Step, g: Tensor) -> Gradients:
    x = step[0]
    if step.params[0] == "none":
        share = 0.5 + 0.5 * (x * math.sqrt(0.5)).erf()
        return (g * (share + x * (x * x * -0.5).exp() * (1 / math.sqrt(2 * math.pi))),)
    root = math.sqrt(2 / math.pi)
    tanh = ((x + 0.044715 * x * x * x) * root).tanh()
    inner = root * (1 + 3 * 0.044715 * x * x)
    return (g * (0.5 * (1 + tanh) + 0.5 * x * (1 - tanh * tanh) * inner),)


@derivative("clamp")
def _clamp(step: Step, g: Tensor) -> Gradients:
    x, (low, high, *is_open) = step[0], step.params
    if is_open:
        return (where(x.gt(low).logical_and(x.lt(high)), g, 0.0),)
    return (where(x.ge(low).logical_and(x.le(high)), g, 0.0),)


@derivative("where")
def _where(step: Step, g: Tensor) -> Gradients:
    chosen = step[0]
    return (
        None,
        where(chosen, g, 0.0) if step.needs(1) else None,
        where(chosen, 0.0, g) if step.needs(2) else None,
    )
