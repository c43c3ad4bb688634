"""Losses that are the negative logarithm of a likelihood, element by element."""

from __future__ import annotations

import math

from ggml.core import dtypes
from ggml.core.errors import ArgumentError, ShapeMismatchError
from ggml.ops.elementwise.selection import at_least, where
from ggml.ops.loss.pointwise import (
    NOT_READ,
    REDUCTIONS,
    floating_result,
    loss_row,
    need_shape,
    reduced,
    reduction_of,
    wide,
)
from ggml.registry.arguments import Number, convert, number, same_dtype, strictly_floating, tensor
from ggml.tensors.tensor import Tensor, filled


@loss_row("binary_cross_entropy", differs=NOT_READ.format("NaN (an input outside [0, 1])"))
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``-(target * log(input) + (1 - target) * log(1 - input))`` for probabilities; logarithms end at -100."""
    name = "binary_cross_entropy"
    how = reduction_of(name, reduction, size_average, reduce)
    x, y = strictly_floating(name, input), strictly_floating(name, target, "target")
    need_shape(name, x, y, "a target")
    same_dtype(name, x, y)
    chance, truth = wide(x), wide(y)
    loss = (_sloped_at_ends if chance.requires_grad else _of_chances)(chance, truth)
    if weight is not None:
        weights = strictly_floating(name, weight, "weight")
        same_dtype(name, x, weights)
        loss = loss * wide(weights)
    return reduced(loss, how, x.dtype)


def _of_chances(chance: Tensor, truth: Tensor) -> Tensor:
    return (truth - 1) * chance.neg().log1p().clamp(min=-100.0) - truth * chance.log().clamp(min=-100.0)


def _sloped_at_ends(chance: Tensor, truth: Tensor) -> Tensor:
    """The same loss, with PyTorch's finite slope at chances of 0 and 1, where the logarithms have none."""
    at_end = chance.eq(0).logical_or(chance.eq(1))
    value = chance.detach()
    line = _of_chances(value, truth) + (chance - value) * ((value - truth) / 1e-12)
    return where(at_end, line, _of_chances(where(at_end, 0.5, chance), truth))


def _zero(like: Tensor) -> Tensor:
    return filled((), 0.0, like.dtype, like.device)


@loss_row("binary_cross_entropy_with_logits")
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """``binary_cross_entropy(sigmoid(input), target)`` without overflow; ``pos_weight`` scales the targets of 1."""
    name = "binary_cross_entropy_with_logits"
    how = reduction_of(name, reduction, size_average, reduce)
    x, y = strictly_floating(name, input), strictly_floating(name, target, "target")
    need_shape(name, x, y, "a target")
    logits, truth = wide(x), wide(y)
    # -log(sigmoid(x)), whose two parts never overflow
    miss = logits.abs().neg().exp().log1p() - logits.minimum(_zero(logits))
    if pos_weight is not None:
        miss = miss * ((wide(tensor(name, pos_weight, "pos_weight")) - 1) * truth + 1)
    loss = (1 - truth) * logits + miss
    if weight is not None:
        loss = loss * wide(tensor(name, weight, "weight"))
    return reduced(loss, how, y.dtype)


@loss_row("kl_div")
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """``target * (log(target) - input)`` for an input of logarithms; with ``log_target`` the target is one, too.

    ``reduction="batchmean"`` is the sum over the extent of axis 0.
    """
    how = reduction_of("kl_div", reduction, size_average, reduce, (*REDUCTIONS, "batchmean"))
    x, y = strictly_floating("kl_div", input), strictly_floating("kl_div", target, "target")
    dtype = floating_result("kl_div", x, y)
    log_chance, truth = wide(x), wide(y)
    loss = truth.exp() * (truth - log_chance) if log_target else truth.xlogy(truth) - truth * log_chance
    if how != "batchmean":
        return reduced(loss, how, dtype)
    count = x.shape[0] if x.ndim else 1
    return convert(loss.sum() / float(count) if count else loss.sum() * math.nan, dtype)


@loss_row("poisson_nll_loss")
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-08,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``exp(input) - target * input``, or ``input - target * log(input + eps)`` without ``log_input``.

    ``full`` adds Stirling's approximation of ``log(target!)`` where the target is above 1.
    """
    name = "poisson_nll_loss"
    how = reduction_of(name, reduction, size_average, reduce)
    x, y = tensor(name, input), tensor(name, target, "target")
    dtype = floating_result(name, x if x.is_floating_point() else wide(x), y)
    rate, count = wide(x), wide(y)
    tiny = float(number(name, eps, "eps"))
    loss = rate.exp() - count * rate if log_input else rate - count * (rate + tiny).log()
    if full:
        more = count * count.log() - count + (count * (2 * math.pi)).log() * 0.5
        loss = loss + where(count.le(1), 0.0, more)
    return reduced(loss, how, dtype)


def _variance(x: Tensor, var: Tensor | Number) -> Tensor:
    """The variance of each element, in a shape that broadcasts with the input's."""
    name = "gaussian_nll_loss"
    if not isinstance(var, Tensor):
        value = float(number(name, var, "var"))
        if value < 0:
            raise ArgumentError(name, "var", f"must not be negative: {var}")
        return filled((), value, dtypes.float32, x.device)
    spread, shape = tensor(name, var, "var"), tuple(x.shape)
    if tuple(spread.shape) == shape:
        return spread
    if x.ndim and tuple(spread.shape) == shape[:-1]:
        return spread.unsqueeze(-1)
    others = [have for have, wanted in zip(spread.shape, shape, strict=False) if have != wanted]
    if spread.ndim == x.ndim and sum(others) == 1:
        return spread
    raise ShapeMismatchError(name, f"a var {shape}, without its last axis or with one axis of 1", tuple(spread.shape))


@loss_row("gaussian_nll_loss", differs=NOT_READ.format("the loss of ``eps`` (a negative var)"))
def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | Number,
    full: bool = False,
    eps: float = 1e-06,
    reduction: str = "mean",
) -> Tensor:
    """``(log(var) + (input - target) ** 2 / var) / 2`` with ``var`` at least ``eps``; ``full`` adds the constant."""
    x, y = tensor("gaussian_nll_loss", input), tensor("gaussian_nll_loss", target, "target")
    how = reduction_of("gaussian_nll_loss", reduction)
    spread = at_least(wide(_variance(x, var)), float(number("gaussian_nll_loss", eps, "eps")))
    loss = (spread.log() + (wide(x) - wide(y)).square() / spread) * 0.5
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    dtype = floating_result("gaussian_nll_loss", x, y, *([var] if isinstance(var, Tensor) else []))
    return reduced(loss, how, dtype)
