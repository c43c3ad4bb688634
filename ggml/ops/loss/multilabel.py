"""Losses of scores against the classes that an input belongs to, by the margin between them."""

from __future__ import annotations

import math

from ggml.core import dtypes
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.ops.elementwise.selection import where
from ggml.ops.loss.classes import class_numbers, class_range, class_weights, nothing
from ggml.ops.loss.pointwise import floating_result, loss_row, reduced, reduction_of, wide
from ggml.registry.arguments import convert, number, strictly_floating, tensor
from ggml.tensors.tensor import Tensor, filled


def _rows(name: str, x: Tensor) -> tuple[Tensor, int, int]:
    """The input as float32 rows [N, C]."""
    if x.ndim not in (1, 2) or x.shape[-1] == 0:
        raise ShapeMismatchError(name, "an input [N, C] or [C]", tuple(x.shape))
    count = x.shape[0] if x.ndim == 2 else 1
    return wide(x).reshape(count, x.shape[-1]), count, x.shape[-1]


@loss_row("multi_margin_loss", dtypes=(dtypes.float32,))
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over the other classes of ``max(0, margin - input[target] + input) ** p``, ``p`` 1 or 2."""
    name = "multi_margin_loss"
    how = reduction_of(name, reduction, size_average, reduce)
    x = strictly_floating(name, input)
    power = number(name, p, "p")
    if power not in (1, 2):
        raise ArgumentError(name, "p", f"must be 1 or 2, not {p}")
    rows, count, num_classes = _rows(name, x)
    is_one = isinstance(target, Tensor) and target.numel() == 1 and target.ndim <= 1 and count == 1
    shape = tuple(target.shape) if is_one else tuple(x.shape[:-1])
    places = class_numbers(name, target, shape).reshape(count, 1)
    weights = class_weights(name, weight, x, num_classes)
    if not count:
        return nothing(how, (0,), x.dtype, x)
    gap = (rows - rows.gather(1, places) + float(number(name, margin, "margin"))).clamp(min=0.0)
    gap = gap.square() if power == 2 else gap
    if weights is not None:
        gap = gap * weights.index_select(0, places.flatten()).unsqueeze(1)
    others = where(class_range(num_classes, x).ne(places), gap, 0.0)
    return reduced((others.sum(1) / float(num_classes)).reshape(*shape), how, x.dtype)


@loss_row("multilabel_margin_loss", dtypes=(dtypes.float32,))
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, 1 - (input[t] - input[i]))`` over targets ``t`` and other classes ``i``, summed, over C.

    The targets are class numbers [N, C] (or [C]) that end before the first -1.
    """
    name = "multilabel_margin_loss"
    how = reduction_of(name, reduction, size_average, reduce)
    x = strictly_floating(name, input)
    rows, count, num_classes = _rows(name, x)
    classes = class_numbers(name, target, tuple(x.shape)).reshape(count, num_classes)
    if not count:
        return nothing(how, (0,), x.dtype, x)
    is_named = convert(convert(classes.ge(0), dtypes.int64).cumprod(1), dtypes.bool_)
    places = where(is_named, classes, 0)
    # [N, target, class]
    is_class = places.unsqueeze(2).eq(class_range(num_classes, x)).logical_and(is_named.unsqueeze(2))
    is_pair = is_named.unsqueeze(2).logical_and(is_class.any(1, True).logical_not())
    gap = (1 - rows.gather(1, places).unsqueeze(2) + rows.unsqueeze(1)).clamp(min=0.0)
    total = where(is_pair, gap, 0.0).sum((1, 2)) / float(num_classes)
    return reduced(total.reshape(*x.shape[:-1]), how, x.dtype)


@loss_row("multilabel_soft_margin_loss")
def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``binary_cross_entropy_with_logits``, its mean over the last axis taken first."""
    name = "multilabel_soft_margin_loss"
    how = reduction_of(name, reduction, size_average, reduce)
    x, y = strictly_floating(name, input), tensor(name, target, "target")
    if y.dtype is dtypes.bool_:
        raise DTypeError(name, "numbers as target", y.dtype)
    extras = [] if weight is None else [tensor(name, weight, "weight")]
    dtype = floating_result(name, x, y, *extras)
    logits, truth = wide(x), wide(y)
    miss = logits.abs().neg().exp().log1p()
    zero = filled((), 0.0, logits.dtype, logits.device)  # of equal ones each has half of the derivative
    loss = truth * (miss - logits.minimum(zero)) + (1 - truth) * (miss + logits.maximum(zero))
    for weights in extras:
        loss = loss * wide(weights)
    if not x.ndim:
        raise ShapeMismatchError(name, "an input with an axis of classes", ())
    at, count = x.ndim - 1, float(x.shape[-1])
    return reduced(loss.sum(at) / count if count else loss.sum(at) * math.nan, how, dtype)
