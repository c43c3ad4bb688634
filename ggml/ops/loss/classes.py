"""Losses of predictions that name a class, or several; and classes as vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ggml.core import dtypes
from ggml.core.dtypes import DType
from ggml.core.errors import ArgumentError, DTypeError, IndexOutOfRangeError, ShapeMismatchError
from ggml.ops.elementwise.selection import where
from ggml.ops.loss.pointwise import floating_result, loss_row, reduced, reduction_of, wide
from ggml.registry.arguments import convert, integer, number, same_dtype, strictly_floating, tensor
from ggml.registry.limits import on_host
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor, filled, wrap
from ggml.tensors.transfer import upload


def class_numbers(name: str, target: Any, shape: tuple[int, ...]) -> Tensor:
    """Integer targets of this shape, as int64."""
    classes = tensor(name, target, "target")
    if not classes.dtype.is_integer:
        raise DTypeError(name, "integers as target", classes.dtype)
    if tuple(classes.shape) != shape:
        raise ShapeMismatchError(name, f"a target {shape}", tuple(classes.shape))
    return convert(classes, dtypes.int64)


def class_weights(name: str, weight: Any, x: Tensor, num_classes: int) -> Tensor | None:
    """One weight for each class, in float32, or None."""
    if weight is None:
        return None
    weights = strictly_floating(name, weight, "weight")
    if tuple(weights.shape) != (num_classes,):
        raise ShapeMismatchError(name, f"a weight ({num_classes},)", tuple(weights.shape))
    same_dtype(name, x, weights)
    return wide(weights)


def _class_axis(name: str, x: Tensor) -> int:
    if not x.ndim:
        raise ShapeMismatchError(name, "an input with an axis of classes", ())
    return 0 if x.ndim == 1 else 1


def _picked(values: Tensor, at: int, places: Tensor) -> Tensor:
    """The element along ``at`` that each of ``places`` names."""
    return values.gather(at, places.unsqueeze(at)).squeeze(at)


def _shares(weights: Tensor | None, places: Tensor, is_kept: Tensor) -> Tensor:
    """The weight of each target: that of its class, 0 where it is ignored."""
    if weights is None:
        return convert(is_kept, dtypes.float32)
    return where(is_kept, weights.index_select(0, places.flatten()).reshape(*places.shape), 0.0)


def _kept(x: Tensor, at: int, classes: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Which targets count, and the classes with the others set to 0."""
    is_kept = classes.ne(ignore_index)
    return is_kept, where(is_kept, classes, 0)


def nothing(how: str, shape: tuple[int, ...], dtype: DType, like: Tensor) -> Tensor:
    """The loss of no targets at all."""
    if how == "none":
        return filled(shape, 0.0, dtype, like.device)
    return filled((), math.nan if how == "mean" else 0.0, dtype, like.device)


@loss_row("nll_loss")
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``-weight[target] * input[target]`` for log-probabilities [N, C, ...] (or [C]) and classes [N, ...] (or []).

    The mean is over the sum of the weights. Targets equal to ``ignore_index`` count as nothing.
    """
    how = reduction_of("nll_loss", reduction, size_average, reduce)
    x = strictly_floating("nll_loss", input)
    return convert(_by_class("nll_loss", x, wide(x), target, weight, ignore_index, how, 0.0), x.dtype)


def _by_class(
    name: str, x: Tensor, scores: Tensor, target: Any, weight: Any, ignore_index: int, how: str, smoothing: float
) -> Tensor:
    """The loss of log-probabilities ``scores`` for class numbers, in float32."""
    at = _class_axis(name, x)
    num_classes, rest = x.shape[at], (*x.shape[:at], *x.shape[at + 1 :])
    classes = class_numbers(name, target, tuple(rest))
    weights = class_weights(name, weight, x, num_classes)
    if not num_classes and classes.numel():
        raise IndexOutOfRangeError(name, f"targets name classes, and there are none: {tuple(x.shape)}")
    if 0 in x.shape:
        return nothing(how, tuple(rest), dtypes.float32, x)
    is_kept, places = _kept(x, at, classes, integer(name, ignore_index, "ignore_index"))
    shares = _shares(weights, places, is_kept)
    loss = where(is_kept, _picked(scores, at, places).neg() * shares, 0.0)
    if smoothing:
        spread = scores if weights is None else scores * weights.reshape(-1, *[1] * (x.ndim - at - 1))
        everywhere = where(is_kept, spread.sum(at).neg(), 0.0)
        loss = loss * (1 - smoothing) + everywhere * (smoothing / num_classes)
    return loss.sum() / shares.sum() if how == "mean" else reduced(loss, how, dtypes.float32)


def _by_chances(x: Tensor, scores: Tensor, target: Tensor, weight: Any, how: str, smoothing: float) -> Tensor:
    """The loss of log-probabilities for a target of probabilities, in float32."""
    at = _class_axis("cross_entropy", x)
    num_classes = x.shape[at]
    truth = wide(strictly_floating("cross_entropy", target, "target"))
    if smoothing:
        truth = truth * (1 - smoothing) + (smoothing / num_classes if num_classes else 0.0)
    weights = class_weights("cross_entropy", weight, x, num_classes)
    product = scores * truth
    if weights is not None:
        product = product * weights.reshape(-1, *[1] * (x.ndim - at - 1))
    if how == "none":
        return product.sum(at).neg()
    total = product.sum().neg()
    if how == "sum":
        return total
    count = x.numel() // num_classes if num_classes else 0
    return total / float(count) if count else total * math.nan


@loss_row("cross_entropy")
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """``nll_loss(log_softmax(input), target)``; a target of the input's shape holds the classes' probabilities."""
    how = reduction_of("cross_entropy", reduction, size_average, reduce)
    x, y = strictly_floating("cross_entropy", input), tensor("cross_entropy", target, "target")
    smoothing = float(number("cross_entropy", label_smoothing, "label_smoothing"))
    if not 0 <= smoothing <= 1:
        raise ArgumentError("cross_entropy", "label_smoothing", f"must lie in [0, 1]: {label_smoothing}")
    scores = wide(x).log_softmax(_class_axis("cross_entropy", x))
    if y._node.shape == x._node.shape and (y.is_floating_point() or x.ndim):
        if integer("cross_entropy", ignore_index, "ignore_index") >= 0:
            raise ArgumentError("cross_entropy", "ignore_index", "is for class numbers; these are probabilities")
        return convert(_by_chances(x, scores, y, weight, how, smoothing), floating_result("cross_entropy", x, y))
    return convert(_by_class("cross_entropy", x, scores, y, weight, ignore_index, how, smoothing), x.dtype)


def class_range(num_classes: int, like: Tensor) -> Tensor:
    """0, 1 ... ``num_classes - 1`` where ``like`` lies."""
    return wrap(upload(np.arange(num_classes), dtypes.int64, like.device))


@op(
    runs="composed",
    sample="one_hot",
    dtypes=dtypes.INTEGER,
    torch="nn.functional.one_hot",
    methods=(),
    differs="Without ``num_classes`` the classes are read, so it cannot be used in a compiled function.",
)
def one_hot(input: Tensor, num_classes: int = -1) -> Tensor:
    """1 at the place that each class number names along a new last axis, 0 elsewhere; int64."""
    classes = tensor("one_hot", input)
    if not classes.dtype.is_integer:
        raise DTypeError("one_hot", "integers", classes.dtype)
    count = integer("one_hot", num_classes, "num_classes")
    if count == -1:
        if not classes.numel():
            raise ArgumentError("one_hot", "num_classes", "must be given where there are no classes")
        if classes.amin().item() < 0:
            raise ArgumentError("one_hot", "input", "has negative classes")
        count = int(classes.amax().item()) + 1
    if count < 1:
        raise ArgumentError("one_hot", "num_classes", f"must be positive: {num_classes}")
    on_host("one_hot", "num_classes", count)
    known = class_range(count, classes)
    # The pick is the classes themselves; one outside of the range is an error when it is computed.
    places = known.index_select(0, classes.flatten()).reshape(*classes.shape)
    return convert(places.unsqueeze(-1).eq(known), dtypes.int64)
