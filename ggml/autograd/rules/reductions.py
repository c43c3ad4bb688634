"""Sums, means, products, extremes, and what runs along an axis."""

from __future__ import annotations

import math

from ggml.autograd.derivative import Gradients, Step, derivative, numel
from ggml.ops.elementwise.selection import where
from ggml.tensors.tensor import Tensor

_MOST_SQUARED = 256


def _widened(step: Step, value: Tensor) -> Tensor:
    """What was reduced, with its axes again, of extent 1."""
    (dims,), shape = step.params, step.shape(0)
    return value.reshape([1 if d in dims else extent for d, extent in enumerate(shape)])


@derivative("sum")
def _sum(step: Step, g: Tensor) -> Gradients:
    return (_widened(step, g).expand(step.shape(0)),)


@derivative("mean")
def _mean(step: Step, g: Tensor) -> Gradients:
    count = numel(step.shape(0), step.params[0])
    return ((_widened(step, g) * (1 / count)).expand(step.shape(0)),)


@derivative("prod")
def _prod(step: Step, g: Tensor) -> Gradients:
    x, (dims,) = step[0], step.params
    if not dims:
        return (g,)
    is_zero = x.eq(0)
    zeros = is_zero.to(g.dtype).sum(dims, True)
    # The product of the others: of a lone 0 that of all that are not 0, of anything beside a 0 nothing.
    safe = where(is_zero, 1.0, x)
    others = where(zeros.eq(0), _widened(step, step.result) / safe, 0.0)
    alone = where(zeros.eq(1), _product(safe, dims), 0.0)
    return (_widened(step, g) * where(is_zero, alone, others),)


def _product(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    for d in dims:
        x = x.prod(d, True)
    return x


@derivative("amax", "amin")
def _extreme(step: Step, g: Tensor) -> Gradients:
    wins = step[0].eq(_widened(step, step.result)).to(g.dtype)
    return (_widened(step, g) * (wins / wins.sum(step.params[0], True)),)


@derivative("cumsum")
def _cumsum(step: Step, g: Tensor) -> Gradients:
    (at,) = step.params
    return (_backwards_sum(g, at),)


def _backwards_sum(g: Tensor, at: int) -> Tensor:
    return g.flip((at,)).cumsum(at).flip((at,)) if g.ndim else g


@derivative("cumprod")
def _cumprod(step: Step, g: Tensor) -> Gradients:
    x, (at,) = step[0], step.params
    if not x.ndim:
        return (g,)
    count = x.shape[at]
    if count > _MOST_SQUARED:
        return (_backwards_sum(g * step.result, at) / x,)
    # Row i of a triangle holds the factors of result i, so that products without one factor need no quotient.
    rows = x.movedim(at, -1)
    kept = rows.new_ones(count, count).tril().gt(0)
    factors = where(kept, rows.unsqueeze(-2), 1.0)
    is_zero = factors.eq(0)
    zeros = is_zero.to(g.dtype).sum(-1, True)
    safe = where(is_zero, 1.0, factors)
    whole = safe.prod(-1, True)
    others = where(zeros.eq(0), whole / safe, where(zeros.eq(1).logical_and(is_zero), whole, 0.0))
    parts = where(kept, g.movedim(at, -1).unsqueeze(-1) * others, 0.0).sum(-2)
    return (parts.movedim(-1, at),)


@derivative("logcumsumexp")
def _logcumsumexp(step: Step, g: Tensor) -> Gradients:
    x, y, (at,) = step[0], step.result, step.params
    if not x.ndim:
        return (g,)

    def part(share: Tensor) -> Tensor:
        logarithm = where(share.gt(0), where(share.gt(0), share, 1.0).log() - y, -math.inf)
        return (logarithm.flip((at,)).logcumsumexp(at).flip((at,)) + x).exp()

    return (part(g) - part(-g),)


@derivative("softmax")
def _softmax(step: Step, g: Tensor) -> Gradients:
    y, (at,) = step.result, step.params
    if not y.ndim:
        return (g * 0.0,)
    weighted = g * y
    return (weighted - y * weighted.sum(at, True),)


@derivative("log_softmax")
def _log_softmax(step: Step, g: Tensor) -> Gradients:
    y, (at,) = step.result, step.params
    if not y.ndim:
        return (g * 0.0,)
    return (g - y.exp() * g.sum(at, True),)
