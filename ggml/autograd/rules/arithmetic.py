"""Sums, products, quotients, powers, and the larger or smaller of two.

Their parameters say where a number stands: ``(place, (number, sign), common dtype)``.
"""

from __future__ import annotations

import math

from ggml.autograd.derivative import Gradients, Step, derivative, nothing
from ggml.ops.elementwise.binary import NO_NUMBER, NUMBER_FIRST
from ggml.ops.elementwise.selection import where
from ggml.tensors.tensor import Tensor


def _operands(step: Step) -> tuple[Tensor | float, Tensor | float]:
    """Both operands, in order; one of them may be a number."""
    position, (scalar, _), _ = step.params
    if position == NO_NUMBER:
        return step[0], step[1]
    return (scalar, step[0]) if position == NUMBER_FIRST else (step[0], scalar)


def _both(step: Step, first: Tensor | None, second: Tensor | None) -> Gradients:
    """The gradients of those operands that are tensors."""
    position = step.params[0]
    if position == NO_NUMBER:
        return first, second
    return (second,) if position == NUMBER_FIRST else (first,)


def _wants(step: Step) -> tuple[bool, bool]:
    position = step.params[0]
    if position == NO_NUMBER:
        return step.needs(0), step.needs(1)
    return (False, True) if position == NUMBER_FIRST else (True, False)


@derivative("add")
def _add(step: Step, g: Tensor) -> Gradients:
    return _both(step, g, g)


@derivative("sub")
def _sub(step: Step, g: Tensor) -> Gradients:
    return _both(step, g, -g if _wants(step)[1] else None)


@derivative("mul")
def _mul(step: Step, g: Tensor) -> Gradients:
    position, (scalar, _), _ = step.params
    if position != NO_NUMBER:
        return (g * scalar,)
    return g * step[1] if step.needs(0) else None, g * step[0] if step.needs(1) else None


@derivative("div")
def _div(step: Step, g: Tensor) -> Gradients:
    position, (scalar, _), _ = step.params
    first, second = _wants(step)
    if position == NO_NUMBER:
        return g / step[1] if first else None, -g * (step[0] / step[1]) / step[1] if second else None
    return (-g * (scalar / step[0]) / step[0],) if position == NUMBER_FIRST else (g / scalar,)


@derivative("trunc_divide", "floor_divide")
def _whole(step: Step, g: Tensor) -> Gradients:
    return _both(step, nothing(g), nothing(g))


@derivative("remainder", "fmod")
def _rest(step: Step, g: Tensor) -> Gradients:
    second = None
    if _wants(step)[1]:
        a, b = _operands(step)
        quotient = a / b
        assert isinstance(quotient, Tensor)
        second = -g * (quotient.floor() if step.name == "remainder" else quotient.trunc())
    return _both(step, g, second)


@derivative("pow")
def _pow(step: Step, g: Tensor) -> Gradients:
    a, b = _operands(step)
    wants, first, second = _wants(step), None, None
    if wants[0] and not isinstance(b, Tensor):
        first = nothing(g) if b == 0 else g * (b * a ** (b - 1))
    elif wants[0]:
        assert isinstance(b, Tensor)
        first = where(b.eq(0), 0.0, g * (b * a ** (b - 1)))
    if wants[1] and isinstance(a, Tensor):
        assert isinstance(b, Tensor)
        rising = g * (step.result * where(a.eq(0).logical_and(b.ge(0)), 1.0, a).log())
        second = where(a.eq(0).logical_and(b.ge(0)), 0.0, rising)
    elif wants[1]:
        assert isinstance(b, Tensor)
        rising = g * (step.result * (math.log(a) if a > 0 else -math.inf if a == 0 else math.nan))
        second = where(b.ge(0), 0.0, rising) if a == 0 else rising
    return _both(step, first, second)


@derivative("maximum", "minimum")
def _extreme(step: Step, g: Tensor) -> Gradients:
    a, b = step[0], step[1]
    first, second = (a.gt(b), a.lt(b)) if step.name == "maximum" else (a.lt(b), a.gt(b))
    is_tie, half = a.eq(b), g * 0.5
    return where(is_tie, half, where(first, g, 0.0)), where(is_tie, half, where(second, g, 0.0))


@derivative("atan2")
def _atan2(step: Step, g: Tensor) -> Gradients:
    y, x = step[0], step[1]
    square = y * y + x * x
    part = where(square.eq(0), 0.0, g / square)
    return part * x, -part * y


@derivative("hypot")
def _hypot(step: Step, g: Tensor) -> Gradients:
    return g * (step[0] / step.result), g * (step[1] / step.result)


@derivative("copysign")
def _copysign(step: Step, g: Tensor) -> Gradients:
    position = step.params[0]
    if position == NUMBER_FIRST:
        return (nothing(g),)
    ratio = where(step[0].eq(0), 0.0, step.result / step[0])
    return (g * ratio, nothing(g)) if position == NO_NUMBER else (g * ratio,)
