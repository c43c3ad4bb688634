"""Normalisation."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ggml.core.op import Op
from tests.ggml.arrays import Draw, tensor
from tests.ggml.samples.common import Call, any_dim, any_dtype, sample


def _norm_input(draw: Draw, row: Op) -> tuple[Any, tuple[int, ...], str]:
    dtype = any_dtype(draw, row)
    x = tensor(draw, st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple), dtype)
    return x, tuple(x.shape[draw(st.integers(0, x.ndim - 1)) :]), dtype


@sample
def layer_norm(draw: Draw, row: Op) -> Call:
    x, shape, dtype = _norm_input(draw, row)
    extras = [tensor(draw, shape, dtype) for _ in range(draw(st.integers(0, 2)))]
    return Call([x, shape, *extras], {"eps": 1e-3})


@sample
def rms_norm(draw: Draw, row: Op) -> Call:
    x, shape, dtype = _norm_input(draw, row)
    extras = [tensor(draw, shape, dtype)] if draw(st.booleans()) else []
    return Call([x, shape, *extras], {"eps": draw(st.sampled_from([1e-3, None]))})


@sample
def group_norm(draw: Draw, row: Op) -> Call:
    groups, per_group = draw(st.integers(1, 3)), draw(st.integers(2, 3))
    channels = groups * per_group
    dtype = any_dtype(draw, row)
    x = tensor(draw, (draw(st.integers(1, 3)), channels, *draw(st.lists(st.integers(1, 4), max_size=2))), dtype)
    extras = [tensor(draw, (channels,), dtype) for _ in range(draw(st.sampled_from([0, 2])))]
    return Call([x, groups, *extras], {"eps": 1e-3})


@sample
def normalize(draw: Draw, row: Op) -> Call:
    x = tensor(draw, st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple), any_dtype(draw, row))
    return Call([x], {"dim": any_dim(draw, x), "p": draw(st.sampled_from([1.0, 2.0]))})
