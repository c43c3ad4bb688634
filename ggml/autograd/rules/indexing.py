"""Picking and writing elements by place."""

from __future__ import annotations

from functools import partial

from ggml.autograd.derivative import Gradients, Step, derivative
from ggml.ops.create.factories import zeros
from ggml.ops.elementwise.selection import where
from ggml.tensors.tensor import Tensor


def _counted(places: Tensor, extent: int, may_wrap: bool) -> Tensor:
    """Places from the beginning of an axis."""
    return where(places.lt(0), places + extent, places) if may_wrap else places


def _picked(at: int, places: Tensor, is_shared: bool, x: Tensor) -> Tensor:
    """The elements at these places of an axis, which all lines along it share, or each has its own."""
    return x.index_select(at, places.reshape(-1)) if is_shared else x.gather(at, places)


@derivative("index_select", "take", "masked_scatter_take")
def _select(step: Step, g: Tensor) -> Gradients:
    (at, may_wrap), shape = step.params, step.shape(0)
    places = _counted(step[1].reshape(-1), shape[at], may_wrap)
    return zeros(shape, dtype=g.dtype, device=g.device).index_add(at, places, g), None


@derivative("gather")
def _gather(step: Step, g: Tensor) -> Gradients:
    (at,) = step.params
    return zeros(step.shape(0), dtype=g.dtype, device=g.device).scatter_add(at, step[1], g), None


@derivative(
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "index_add",
    "index_copy",
    "index_fill",
    "index_reduce",
    "put",
    "index_put",
)
def _scatter(step: Step, g: Tensor) -> Gradients:
    at, kernel, may_wrap, is_shared = step.params
    places = _counted(step[1], step.shape(0)[at], may_wrap)
    picked = partial(_picked, at, places, is_shared)

    def put(x: Tensor, value: float) -> Tensor:
        return x.index_fill(at, places.reshape(-1), value) if is_shared else x.scatter(at, places, value)

    if kernel == "add":
        return g, None, picked(g) if step.needs(2) else None
    if kernel == "put":
        return put(g, 0.0) if step.needs(0) else None, None, picked(g) if step.needs(2) else None
    x, source, result = step[0], step[2], step.result
    if kernel == "multiply":
        return _multiplied(step, g, places, is_shared)
    wins = x.eq(result).to(g.dtype)
    found = source.eq(picked(result)).to(g.dtype)
    counts = wins.index_add(at, places.reshape(-1), found) if is_shared else wins.scatter_add(at, places, found)
    share = g / where(counts.eq(0), 1.0, counts)
    return share * wins, None, picked(share) * found


def _multiplied(step: Step, g: Tensor, places: Tensor, is_shared: bool) -> Gradients:
    """Products without one of their factors: a lone 0 among them is left out of the product, not divided by."""
    at = step.params.at
    x, source = step[0], step[2]
    picked = partial(_picked, at, places, is_shared)

    def written(base: Tensor, values: Tensor, how: str) -> Tensor:
        if is_shared:
            flat = places.reshape(-1)
            return base.index_add(at, flat, values) if how == "sum" else base.index_reduce(at, flat, values, "prod")
        return base.scatter_add(at, places, values) if how == "sum" else base.scatter_reduce(at, places, values, "prod")

    no_x, no_source = x.eq(0), source.eq(0)
    count = written(no_x.to(g.dtype), no_source.to(g.dtype), "sum")
    rest = written(where(no_x, 1.0, x), where(no_source, 1.0, source), "prod")

    def part(is_zero: Tensor, value: Tensor, zeros_here: Tensor, product: Tensor) -> Tensor:
        whole = where(zeros_here.eq(0), product / where(is_zero, 1.0, value), 0.0)
        return where(is_zero, where(zeros_here.eq(1), product, 0.0), whole)

    return (
        g * part(no_x, x, count, rest),
        None,
        picked(g) * part(no_source, source, picked(count), picked(rest)) if step.needs(2) else None,
    )
