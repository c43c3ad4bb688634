"""The slopes of samples, which may stand at any places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import PLAIN, promote_types
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.ops.shape.concatenation import cat
from ggml.ops.shape.cutting import narrow
from ggml.ops.shape.views import reshape
from ggml.registry.arguments import convert, floating, integer, number, tensor
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor
from ggml.tensors.transfer import axis

Step = float | Tensor  # the distance of all neighbours, or the distances between them along the axis


def _inner(x: Tensor, at: int, step: Step) -> Tensor:
    """Between the ends: from both neighbours."""
    count = x.shape[at] - 2
    before, here, behind = (narrow(x, at, place, count) for place in range(3))
    if not isinstance(step, Tensor):
        return (behind - before) / (2 * step)
    shape = tuple(count if d == at else 1 for d in range(x.ndim))
    a, b = (reshape(narrow(step, 0, place, count), shape) for place in (0, 1))
    return behind * (a / (b * (a + b))) + here * ((b - a) / (a * b)) - before * (b / (a * (a + b)))


def _end(x: Tensor, at: int, step: Step, order: int, is_last: bool) -> Tensor:
    """At one end: from its neighbour, or from two of them."""
    extent = x.shape[at]
    rows = [narrow(x, at, extent - 1 - k if is_last else k, 1) for k in range(order + 1)]
    sign = -1.0 if is_last else 1.0
    if isinstance(step, Tensor):
        places = [(extent - 2 - k) if is_last else k for k in range(order)]
        steps: list[Any] = [reshape(narrow(step, 0, place, 1), ()) for place in places]
    else:
        steps = [step] * order
    if order == 1:
        slope: Tensor = (rows[1] - rows[0]) / steps[0] * sign
        return slope
    a, b = steps
    total = a + b
    weighted: Tensor = rows[1] * (total / (a * b)) - rows[0] * ((a + total) / (a * total)) - rows[2] * (a / (b * total))
    return weighted * sign


def _steps(spacing: Any, axes: list[int], x: Tensor) -> list[Step]:
    name = "gradient"
    if not isinstance(spacing, (tuple, list)):
        return [1.0 if spacing is None else float(number(name, spacing, "spacing"))] * len(axes)
    if len(spacing) != len(axes):
        raise ArgumentError(name, "spacing", f"must have an entry for each of {len(axes)} axes: {len(spacing)}")
    steps: list[Step] = []
    for at, one in zip(axes, spacing, strict=True):
        if isinstance(one, Tensor) and one.ndim:
            places = convert(floating(name, one, "spacing"), dtypes.float32)
            if tuple(places.shape) != (x.shape[at],):
                raise ShapeMismatchError(name, f"{x.shape[at]} places along axis {at}", tuple(places.shape))
            steps.append(narrow(places, 0, 1, x.shape[at] - 1) - narrow(places, 0, 0, x.shape[at] - 1))
        else:
            steps.append(float(number(name, one, "spacing")))
    return steps


def _places(spacing: Any, axes: list[int]) -> list[Tensor | None]:
    """The tensors of places among the spacings, which take part in the result's dtype."""
    several = spacing if isinstance(spacing, (tuple, list)) else [None] * len(axes)
    return [one if isinstance(one, Tensor) and one.ndim else None for one in several]


@op(runs="composed", sample="gradient", dtypes=tuple(kind for kind in PLAIN if kind is not dtypes.bool_), methods=())
def gradient(
    input: Tensor,
    *,
    spacing: float | Sequence[float | Tensor] | None = None,
    dim: int | Sequence[int] | None = None,
    edge_order: int = 1,
) -> tuple[Tensor, ...]:
    """The slope along each axis of ``dim`` (all by default): from both neighbours, at the ends from one or two.

    ``spacing`` is the distance between samples, one for each axis, or tensors of their places.
    """
    x, order = tensor("gradient", input), integer("gradient", edge_order, "edge_order")
    if x.dtype is dtypes.bool_:
        raise DTypeError("gradient", "numbers", x.dtype)
    if order not in (1, 2):
        raise ArgumentError("gradient", "edge_order", f"must be 1 or 2: {edge_order}")
    named: list[Any] = list(range(x.ndim)) if dim is None else list(dim) if isinstance(dim, (tuple, list)) else [dim]
    axes = [axis("gradient", one, x.ndim) for one in named]
    if len(set(axes)) != len(axes):
        raise ArgumentError("gradient", "dim", f"names an axis twice: {named}")
    for at in axes:
        if not x.ndim or x.shape[at] <= order:
            raise ShapeMismatchError("gradient", f"more than {order} samples along axis {at}", tuple(x.shape))
    kind = x.dtype if x.is_floating_point() else dtypes.float32
    wide = convert(floating("gradient", x), dtypes.float32)
    results = []
    for at, step, place in zip(axes, _steps(spacing, axes, x), _places(spacing, axes), strict=True):
        ends = [_end(wide, at, step, order, is_last) for is_last in (False, True)]
        middle = [_inner(wide, at, step)] if x.shape[at] > 2 else []
        result = kind if place is None or not place.is_floating_point() else promote_types(kind, place.dtype)
        results.append(convert(cat([ends[0], *middle, ends[1]], at), result))
    return tuple(results)
