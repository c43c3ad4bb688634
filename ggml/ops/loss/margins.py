"""Losses that want distances or scores apart by a margin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ggml.core import dtypes
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.ops.elementwise.selection import where
from ggml.ops.loss.distances import pairwise_distance
from ggml.ops.loss.pointwise import floating_result, loss_row, reduced, reduction_of, wide
from ggml.registry.arguments import convert, number, result_type, strictly_floating, tensor
from ggml.tensors.tensor import Tensor


@loss_row("hinge_embedding_loss")
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The distance ``input`` for targets of 1, ``max(0, margin - input)`` for targets of -1."""
    name = "hinge_embedding_loss"
    how = reduction_of(name, reduction, size_average, reduce)
    x, y = strictly_floating(name, input), tensor(name, target, "target")
    far = (float(number(name, margin, "margin")) - wide(x)).clamp(min=0.0)
    loss = where(y.ne(1), far, 0.0) + where(y.ne(-1), wide(x), 0.0)
    return reduced(loss, how, x.dtype)


@loss_row("margin_ranking_loss")
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, -target * (input1 - input2) + margin)``: a target of 1 wants ``input1`` ranked higher."""
    name = "margin_ranking_loss"
    how = reduction_of(name, reduction, size_average, reduce)
    a, b, y = tensor(name, input1, "input1"), tensor(name, input2, "input2"), tensor(name, target, "target")
    if not a.ndim == b.ndim == y.ndim:
        raise ShapeMismatchError(name, "as many axes in all three", [tuple(one.shape) for one in (a, b, y)])
    dtype = floating_result(name, a, b, y)
    loss = (wide(a) - wide(b)) * wide(y).neg() + float(number(name, margin, "margin"))
    return reduced(loss.clamp(min=0.0), how, dtype)


_EPSILON = 1e-12


@loss_row("cosine_embedding_loss")
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``1 - cos(input1, input2)`` for targets of 1, ``max(0, cos - margin)`` for targets of -1.

    Rows [N, D] with targets [N], or vectors [D] with a target [].
    """
    name = "cosine_embedding_loss"
    how = reduction_of(name, reduction, size_average, reduce)
    a, b = tensor(name, input1, "input1"), tensor(name, input2, "input2")
    y = tensor(name, target, "target")
    if y.ndim > 1 or a.ndim != y.ndim + 1 or b.ndim != y.ndim + 1:
        raise ShapeMismatchError(name, "inputs [N, D] and a target [N], or [D] and []",
                                 [tuple(one.shape) for one in (a, b, y)])  # fmt: skip
    dtype = floating_result(name, a, b)
    one, other = wide(a), wide(b)
    sizes = (one.square().sum(-1) + _EPSILON) * (other.square().sum(-1) + _EPSILON)
    near = (one * other).sum(-1) / sizes.sqrt()
    far = (near - float(number(name, margin, "margin"))).clamp(min=0.0)
    loss = where(y.eq(1), 1 - near, 0.0) + where(y.eq(-1), far, 0.0)
    return reduced(loss, how, dtype)


def _triplet(name: str, anchor: Any, positive: Any, negative: Any, margin: float) -> tuple[Tensor, Tensor, Tensor]:
    three = [tensor(name, one, "a triplet") for one in (anchor, positive, negative)]
    if len({one.ndim for one in three}) > 1:
        raise ShapeMismatchError(name, "as many axes in all three", [tuple(one.shape) for one in three])
    if not margin > 0:
        raise ArgumentError(name, "margin", f"must be positive: {margin}")
    return three[0], three[1], three[2]


@loss_row("triplet_margin_loss")
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-06,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, margin + |anchor - positive| - |anchor - negative|)`` in the ``p``-norm.

    ``swap`` takes the distance from positive to negative where that is the shorter one.
    """
    name = "triplet_margin_loss"
    how = reduction_of(name, reduction, size_average, reduce)
    apart = float(number(name, margin, "margin"))
    a, near, far = _triplet(name, anchor, positive, negative, apart)
    dtype = floating_result(name, *[one if one.is_floating_point() else wide(one) for one in (a, near, far)])
    norm, tiny = float(number(name, p, "p")), float(number(name, eps, "eps"))
    a, near, far = wide(a), wide(near), wide(far)
    to_near, to_far = pairwise_distance(a, near, norm, tiny), pairwise_distance(a, far, norm, tiny)
    if swap:
        to_far = to_far.minimum(pairwise_distance(near, far, norm, tiny))
    return reduced((to_near - to_far + apart).clamp(min=0.0), how, dtype)


@loss_row("triplet_margin_with_distance_loss")
def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """As ``triplet_margin_loss``, with a distance of one's own (``pairwise_distance`` by default)."""
    name = "triplet_margin_with_distance_loss"
    how = reduction_of(name, reduction)
    apart = float(number(name, margin, "margin"))
    a, near, far = _triplet(name, anchor, positive, negative, apart)
    distance = pairwise_distance if distance_function is None else distance_function
    if not callable(distance):
        raise DTypeError(name, "a function as distance_function", type(distance).__name__)
    to_near, to_far = distance(a, near), distance(a, far)
    if swap:
        to_far = to_far.minimum(distance(near, far))
    dtype = result_type(to_near, to_far)
    gap = wide(to_near) - wide(to_far) + apart
    return reduced(gap.clamp(min=0.0), how, dtype if dtype.is_floating_point else convert(gap, dtypes.float32).dtype)
