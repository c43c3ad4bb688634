"""What losses share, and those that compare a prediction with a target element by element.

All are computed in float32 and rounded once, at the end. ``size_average`` and ``reduce`` are PyTorch's old way to
name a reduction; they win over ``reduction`` where they are given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import FLOATING, DType, promote_types
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.ops.elementwise.selection import where
from ggml.registry.arguments import Number, choice, convert, number, result_type, strictly_floating, tensor
from ggml.registry.table import Function, op
from ggml.tensors.tensor import Tensor

REDUCTIONS = ("none", "mean", "sum")


def loss_row(sample: str, differs: str = "", dtypes: tuple[DType, ...] = FLOATING) -> Callable[[Function], Function]:
    """The row of a loss: composed, kept in ``nn.functional``, no method of Tensor."""

    def enter(function: Function) -> Function:
        place = f"nn.functional.{function.__name__}"
        return op(runs="composed", sample=sample, torch=place, dtypes=dtypes, methods=(), differs=differs)(function)

    return enter


def reduction_of(
    name: str,
    reduction: str,
    size_average: bool | None = None,
    reduce: bool | None = None,
    known: tuple[str, ...] = REDUCTIONS,
) -> str:
    """The reduction that is asked for, in today's words."""
    if size_average is not None or reduce is not None:
        if reduce is not None and not reduce:
            return "none"
        return "mean" if size_average is None or size_average else "sum"
    return choice(name, "reduction", reduction, known)


def reduced(loss: Tensor, how: str, dtype: DType) -> Tensor:
    """The elements of a float32 loss, their mean or their sum, as ``dtype``."""
    if how == "none":
        return convert(loss, dtype)
    return convert(loss.mean() if how == "mean" else loss.sum(), dtype)


def wide(value: Tensor) -> Tensor:
    """In the precision that losses are computed in."""
    return convert(value, dtypes.float32)


def floating_result(name: str, *values: Tensor | Number) -> DType:
    """The dtype that all promote to, which must be floating."""
    dtype = result_type(*values)
    if not dtype.is_floating_point:
        raise DTypeError(name, "a floating input or target", dtype)
    return dtype


def _promoted(name: str, x: Tensor, y: Tensor) -> DType:
    """The result's dtype where both are broadcast first: a tensor without axes counts as much as another."""
    dtype = promote_types(x.dtype, y.dtype)
    return dtype if dtype.is_floating_point else floating_result(name, x, y)


def need_shape(name: str, wanted: Tensor, got: Tensor, argument: str) -> None:
    """``got`` must have the shape of ``wanted``."""
    if got._node.shape != wanted._node.shape:
        raise ShapeMismatchError(name, f"{argument} {tuple(wanted.shape)}", tuple(got.shape))


def _weighted(name: str, loss: Tensor, weight: Any, input: Tensor, how: str, dtype: DType) -> Tensor:
    """The reduction of a loss whose elements may count differently.

    The mean is over the sum of the weights; that of ``huber_loss`` alone is over the number of elements.
    """
    if weight is None:
        return reduced(loss, how, dtype)
    weights = tensor(name, weight, "weight")
    need_shape(name, input, weights, "a weight")
    kind = promote_types(dtype, weights.dtype)
    shares = wide(weights)
    total = loss * shares
    is_share = how == "mean" and name != "huber_loss"
    return convert(total.sum() / shares.sum(), kind) if is_share else reduced(total, how, kind)


@loss_row("regression")
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The squared difference, ``(input - target) ** 2``."""
    how = reduction_of("mse_loss", reduction, size_average, reduce)
    x, y = tensor("mse_loss", input), tensor("mse_loss", target, "target")
    dtype = _promoted("mse_loss", x, y)
    return _weighted("mse_loss", (wide(x) - wide(y)).square(), weight, x, how, dtype)


@loss_row("regression")
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The absolute difference, ``|input - target|``."""
    how = reduction_of("l1_loss", reduction, size_average, reduce)
    x, y = tensor("l1_loss", input), tensor("l1_loss", target, "target")
    if dtypes.bool_ in (x.dtype, y.dtype):
        raise DTypeError("l1_loss", "numbers", dtypes.bool_)
    if not x.is_floating_point() and not y.is_floating_point() and how != "mean" and weight is None:
        return (x - y).abs() if how == "none" else (x - y).abs().sum()
    dtype = _promoted("l1_loss", x, y)
    return _weighted("l1_loss", (wide(x) - wide(y)).abs(), weight, x, how, dtype)


@loss_row("smooth_l1_loss")
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """Squared and over ``2 * beta`` below ``beta``, from there on the absolute difference less ``beta / 2``."""
    how = reduction_of("smooth_l1_loss", reduction, size_average, reduce)
    x, y = tensor("smooth_l1_loss", input), tensor("smooth_l1_loss", target, "target")
    knee = float(number("smooth_l1_loss", beta, "beta"))
    if knee < 0:
        raise ArgumentError("smooth_l1_loss", "beta", f"must not be negative: {beta}")
    if knee == 0:
        return l1_loss(x, y, reduction=how)
    dtype = _promoted("smooth_l1_loss", x, y)
    signed = wide(x) - wide(y)
    gap = signed.abs()
    return reduced(where(gap.lt(knee), signed.square() * (0.5 / knee), gap - 0.5 * knee), how, dtype)


@loss_row("huber_loss")
def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """Half the square up to ``delta``, from there on ``delta * (|input - target| - delta / 2)``."""
    how = reduction_of("huber_loss", reduction)
    x, y = strictly_floating("huber_loss", input), tensor("huber_loss", target, "target")
    knee = float(number("huber_loss", delta, "delta"))
    if not knee > 0:
        raise ArgumentError("huber_loss", "delta", f"must be positive: {delta}")
    signed = wide(x) - wide(y)
    gap = signed.abs()
    loss = where(gap.le(knee), signed.square() * 0.5, (gap - 0.5 * knee) * knee)
    return _weighted("huber_loss", loss, weight, x, how, x.dtype)


@loss_row("soft_margin_loss")
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``log(1 + exp(-target * input))`` for targets of 1 and -1."""
    how = reduction_of("soft_margin_loss", reduction, size_average, reduce)
    x, y = strictly_floating("soft_margin_loss", input), tensor("soft_margin_loss", target, "target")
    return reduced((wide(x) * wide(y)).neg().exp().log1p(), how, x.dtype)


#: For rows whose elements PyTorch looks at: what comes instead of its error.
NOT_READ = "The elements are not looked at: what PyTorch refuses for them gives {}."
