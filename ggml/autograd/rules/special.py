"""Special functions: Bessel functions, error functions, and those of two operands."""

from __future__ import annotations

import math

from ggml.autograd.derivative import Gradients, Step, derivative, without
from ggml.autograd.rules.pointwise import of_operand
from ggml.core.errors import GradientError
from ggml.ops.elementwise import special_functions as functions
from ggml.ops.elementwise.binary import NO_NUMBER, NUMBER_FIRST
from ggml.ops.elementwise.selection import where
from ggml.tensors.tensor import Tensor

_ROOT_PI = math.sqrt(math.pi)
_SECOND = "has a derivative for its second operand only, as in PyTorch; detach() the first"

of_operand("i0", lambda x: functions.i1(x))


@derivative("i0e")
def _i0e(step: Step, g: Tensor) -> Gradients:
    x = step[0]
    return (g * (functions.i1e(x) - x.sign() * step.result),)


@derivative("i1")
def _i1(step: Step, g: Tensor) -> Gradients:
    x = step[0]
    safe = where(x.eq(0), 1.0, x)
    return (g * where(x.eq(0), 0.5, functions.i0(x) - step.result / safe),)


@derivative("i1e")
def _i1e(step: Step, g: Tensor) -> Gradients:
    x = step[0]
    safe = where(x.eq(0), 1.0, x)
    return (g * where(x.eq(0), 0.5, functions.i0e(x) - step.result * (safe.sign() + safe.reciprocal())),)


@derivative("erfcx")
def _erfcx(step: Step, g: Tensor) -> Gradients:
    return (g * (2 * step[0] * step.result - 2 / _ROOT_PI),)


@derivative("log_ndtr")
def _log_ndtr(step: Step, g: Tensor) -> Gradients:
    return (g * (math.sqrt(2 / math.pi) / functions.erfcx(step[0] * -math.sqrt(0.5))),)


of_operand("bessel_j0", lambda x: -functions.bessel_j1(x))
of_operand("bessel_y0", lambda x: -functions.bessel_y1(x))
of_operand("modified_bessel_k0", lambda x: -functions.modified_bessel_k1(x))
of_operand(
    "bessel_j1", lambda x: where(x.eq(0), 0.5, functions.bessel_j0(x) - functions.bessel_j1(x) / where(x.eq(0), 1.0, x))
)
of_operand("bessel_y1", lambda x: functions.bessel_y0(x) - functions.bessel_y1(x) / x)
of_operand("modified_bessel_k1", lambda x: -functions.modified_bessel_k0(x) - functions.modified_bessel_k1(x) / x)
of_operand(
    "scaled_modified_bessel_k0",
    lambda x: functions.scaled_modified_bessel_k0(x) - functions.scaled_modified_bessel_k1(x),
)
of_operand(
    "scaled_modified_bessel_k1",
    lambda x: functions.scaled_modified_bessel_k1(x) * (1 - 1 / x) - functions.scaled_modified_bessel_k0(x),
)


def _density(shape: Tensor | float, place: Tensor | float) -> Tensor:
    """The gamma distribution's density: what ``igamma`` rises by in its second operand."""
    if isinstance(shape, Tensor):
        logarithm = place.log() if isinstance(place, Tensor) else math.log(place)
        return ((shape - 1) * logarithm - place - shape.lgamma()).exp()
    assert isinstance(place, Tensor)
    return ((shape - 1) * place.log() - place - math.lgamma(shape)).exp()


@derivative("igamma", "igammac")
def _igamma(step: Step, g: Tensor) -> Gradients:
    if len(step) == 1 or step.needs(0):
        if len(step) == 1 and step.params[0] == NUMBER_FIRST:
            part = g * _density(step.params[1][0], step[0])
            return (part if step.name == "igamma" else -part,)
        raise GradientError(step.name, _SECOND)
    part = g * _density(step[0], step[1])
    return None, part if step.name == "igamma" else -part


@derivative("zeta")
def _zeta(step: Step, g: Tensor) -> Gradients:
    position, (number, _), _ = step.params
    if position == NUMBER_FIRST:
        return (g * -number * functions.zeta(number + 1, step[0]),)
    if position != NO_NUMBER or step.needs(0):
        raise GradientError("zeta", _SECOND)
    return None, g * -step[0] * functions.zeta(step[0] + 1, step[1])


without("nextafter", "it goes from one float to the next, and PyTorch has none either")
