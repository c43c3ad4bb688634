"""Tensors put side by side, cut apart, turned; diagonals."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ggml.core.op import Op
from tests.ggml.arrays import FULL_SHAPE, SHAPE, Draw, broadcastable, tensor
from tests.ggml.samples.common import Call, any_dtype, any_tensor, sample

_AXES = st.lists(st.integers(0, 4), min_size=1, max_size=4).map(tuple)


@sample
def atleast(draw: Draw, row: Op) -> Call:
    parts = [any_tensor(draw, row, SHAPE) for _ in range(draw(st.integers(1, 3)))]
    return Call(parts) if draw(st.booleans()) else Call([parts])


@sample
def side_by_side(draw: Draw, row: Op) -> Call:
    shape, dtype = draw(FULL_SHAPE), any_dtype(draw, row)
    shapes = [shape] * draw(st.integers(1, 3))
    if draw(st.integers(0, 3)) == 0:
        shapes.append(shape[1:])
    return Call([[tensor(draw, one, dtype) for one in shapes]])


@sample
def tensor_split(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, _AXES)
    places = draw(st.one_of(st.integers(0, 6), st.lists(st.integers(-5, 6), max_size=3)))
    return Call([x, places], {"dim": draw(st.integers(-x.ndim, x.ndim - 1))})


@sample
def axis_split(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, _AXES)
    return Call([x, draw(st.one_of(st.integers(1, 4), st.lists(st.integers(0, 5), max_size=3)))])


@sample
def broadcast_tensors(draw: Draw, row: Op) -> Call:
    shape = draw(SHAPE)
    return Call([any_tensor(draw, row, st.just(broadcastable(draw, shape))) for _ in range(draw(st.integers(1, 3)))])


def _vectors(draw: Draw, row: Op, least: int, most: int) -> list[Any]:
    dtype = any_dtype(draw, row)
    return [tensor(draw, (draw(st.integers(0, 4)),), dtype) for _ in range(draw(st.integers(least, most)))]


@sample
def meshgrid(draw: Draw, row: Op) -> Call:
    return Call(_vectors(draw, row, 1, 4), {"indexing": draw(st.sampled_from(["ij", "xy"]))})


@sample
def vectors(draw: Draw, row: Op) -> Call:
    return Call(_vectors(draw, row, 1, 3))


@sample
def combinations(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.integers(0, 5).map(lambda n: (n,)))
    return Call([x], {"r": draw(st.integers(0, 3)), "with_replacement": draw(st.booleans())})


@sample
def block_diag(draw: Draw, row: Op) -> Call:
    shape = st.lists(st.integers(0, 3), max_size=2).map(tuple)
    return Call([any_tensor(draw, row, shape) for _ in range(draw(st.integers(1, 3)))])


@sample
def matrix_or_more(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row, SHAPE)])


@sample
def rot90(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.lists(st.integers(0, 4), min_size=2, max_size=4).map(tuple))
    return Call([x, draw(st.integers(-3, 5)), draw(st.permutations(list(range(x.ndim))))[:2]])


@sample
def diag_embed(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple), specials=True)
    first, second = draw(st.permutations(list(range(x.ndim + 1))))[:2]
    return Call([x], {"offset": draw(st.integers(-3, 3)), "dim1": first, "dim2": second})


@sample
def diag(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.lists(st.integers(0, 4), min_size=1, max_size=2).map(tuple))
    return Call([x, draw(st.integers(-3, 3))])


@sample
def diagflat(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row, FULL_SHAPE), draw(st.integers(-3, 3))])


@sample
def vander(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.integers(0, 4).map(lambda n: (n,)))
    return Call([x], {"N": draw(st.sampled_from([None, 0, 1, 4])), "increasing": draw(st.booleans())})


@sample
def triangle_indices(draw: Draw, row: Op) -> Call:
    return Call([draw(st.integers(0, 5)), draw(st.integers(0, 5)), draw(st.integers(-4, 4))])
