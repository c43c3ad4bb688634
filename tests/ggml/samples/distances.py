"""Distances."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ggml.core.op import Op
from tests.ggml.arrays import FULL_SHAPE, Draw, broadcastable, tensor
from tests.ggml.samples.common import Call, any_dim, any_dtype, sample

_POWER = st.sampled_from([2.0, 1.0, 3.0, 0.0, float("inf")])
_VECTORS = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


@sample
def cosine_similarity(draw: Draw, row: Op) -> Call:
    dtype = any_dtype(draw, row)
    x = tensor(draw, _VECTORS, dtype)
    y = tensor(draw, (1,) * 0 + broadcastable(draw, tuple(x.shape)), dtype)
    return Call([x, y], {"dim": any_dim(draw, x), "eps": 1e-6})


@sample
def pairwise_distance(draw: Draw, row: Op) -> Call:
    dtype = any_dtype(draw, row)
    x = tensor(draw, _VECTORS, dtype)
    y = tensor(draw, broadcastable(draw, tuple(x.shape)), dtype)
    return Call([x, y], {"p": draw(_POWER), "keepdim": draw(st.booleans())})


@sample
def dist(draw: Draw, row: Op) -> Call:
    dtype = any_dtype(draw, row)
    x = tensor(draw, FULL_SHAPE, dtype)
    return Call([x, tensor(draw, broadcastable(draw, tuple(x.shape)), dtype), draw(_POWER)])


@sample
def cdist(draw: Draw, row: Op) -> Call:
    p, m, r = (draw(st.integers(0, 5)) for _ in range(3))
    outer = draw(st.lists(st.integers(1, 3), max_size=2).map(tuple))
    x = tensor(draw, (*broadcastable(draw, outer), p, m))
    y = tensor(draw, (*broadcastable(draw, outer), r, m))
    kwargs: dict[str, Any] = {"p": draw(st.one_of(_POWER, st.just(-1.0)))}
    return Call([x, y], kwargs)


@sample
def pdist(draw: Draw, row: Op) -> Call:
    x = tensor(draw, st.lists(st.integers(0, 5), min_size=2, max_size=2).map(tuple))
    return Call([x, draw(_POWER)])
