"""Reductions, scans and sorts."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from ggml.core.op import Op
from tests.ggml.arrays import FULL_SHAPE, LONG_SHAPE, Draw
from tests.ggml.samples.common import Call, any_dim, any_dims, any_tensor, sample


def _reduction(draw: Draw, row: Op, dims: bool = True, shape: Any = LONG_SHAPE, specials: bool = True) -> Call:
    x = any_tensor(draw, row, shape, specials)
    kwargs: dict[str, Any] = {}
    dim = any_dims(draw, x) if dims else draw(st.one_of(st.none(), st.just(any_dim(draw, x))))
    if dim is not None:
        kwargs = {"dim": dim, "keepdim": draw(st.booleans())}
    return Call([x], kwargs)


@sample
def reduce(draw: Draw, row: Op) -> Call:
    return _reduction(draw, row)


@sample
def reduce_floats(draw: Draw, row: Op) -> Call:
    return _reduction(draw, row)


@sample
def reduce_one(draw: Draw, row: Op) -> Call:
    call = _reduction(draw, row, dims=False)
    x = call.args[0]
    if x.is_floating_point() and x.numel() > 100:
        # Whether a product that overflows on the way meets a 0 depends on the order of its factors.
        call.args[0] = x.clamp(-1, 1)
    return call


@sample
def reduce_extreme(draw: Draw, row: Op) -> Call:
    return _reduction(draw, row)


@sample
def reduce_place(draw: Draw, row: Op) -> Call:
    return _reduction(draw, row, dims=False)


@sample
def reduce_best(draw: Draw, row: Op) -> Call:
    return _reduction(draw, row, dims=False)


@sample
def count_nonzero(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, specials=True)
    return Call([x], {"dim": any_dims(draw, x)})


@sample
def variance(draw: Draw, row: Op) -> Call:
    call = _reduction(draw, row, specials=False, shape=FULL_SHAPE)
    call.kwargs["correction"] = draw(st.sampled_from([0, 1]))
    return call


@sample
def reduce_dims(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, specials=True)
    dim = any_dims(draw, x)
    return Call([x, tuple(range(x.ndim)) if dim is None else dim], {"keepdim": draw(st.booleans())})


@sample
def norm(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, FULL_SHAPE)
    return Call([x], {"p": draw(st.sampled_from([1, 2, 3, 0, float("inf")])), "dim": any_dim(draw, x)})


@sample
def scan(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row)
    return Call([x, any_dim(draw, x)])


@sample
def softmax(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, specials=True)
    return Call([x, any_dim(draw, x)])


@sample
def argsort(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, specials=True)
    return Call([x], {"dim": any_dim(draw, x), "descending": draw(st.booleans()), "stable": True})


@sample
def sort(draw: Draw, row: Op) -> Call:
    return argsort(draw, row)


@sample
def topk(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, FULL_SHAPE)
    # Without ties: PyTorch does not say which of equal elements it takes.
    x = (x.float() * 0).flatten().cumsum(0).reshape(x.shape).to(x.dtype) + TORCH_ARANGE(x)
    dim = any_dim(draw, x)
    size = x.shape[dim] if x.ndim else 1
    return Call([x, draw(st.integers(min(x.ndim, 1) ^ 1, size))], {"dim": dim, "largest": draw(st.booleans())})


def TORCH_ARANGE(x: Any) -> Any:

    return torch.arange(x.numel()).reshape(x.shape).to(x.dtype)
