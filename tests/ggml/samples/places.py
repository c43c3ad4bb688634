"""Rows that take indices."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ggml.core.op import Op
from tests.ggml.arrays import FULL_SHAPE, SHAPE, Draw, tensor
from tests.ggml.samples.common import Call, any_dim, any_dtype, any_tensor, sample


def some_places(draw: Draw, shape: Any, size: int, dtype: str = "int64", low: int = 0) -> Any:
    return tensor(draw, shape, dtype, low, max(size - 1, 0))


@sample
def index_select(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple))
    dim = any_dim(draw, x)
    return Call(
        [x, dim, some_places(draw, (draw(st.integers(0, 6)),), x.shape[dim], draw(st.sampled_from(["int32", "int64"])))]
    )


@sample
def gather(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, FULL_SHAPE)
    dim = any_dim(draw, x)
    shape = [draw(st.integers(1, extent)) for extent in x.shape]
    if shape:
        shape[dim] = draw(st.integers(0, 6))
    return Call([x, dim, some_places(draw, tuple(shape), x.shape[dim] if x.ndim else 1)])


@sample
def take_along_dim(draw: Draw, row: Op) -> Call:
    call = gather(draw, row)
    x, dim, places = call.args
    if x.ndim == 0:
        return Call([x, places.reshape(())])
    shape = [1 if draw(st.booleans()) else extent for extent in x.shape]
    shape[dim] = places.shape[dim]
    return Call([x, some_places(draw, tuple(shape), x.shape[dim]), dim])


@sample
def getitem(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple))
    items: list[Any] = []
    for extent in x.shape[: draw(st.integers(0, x.ndim))]:
        kind = draw(st.sampled_from(["int", "slice", "tensor", "none", "list"]))
        if kind == "none":
            items.append(None)
        if kind == "int":
            items.append(draw(st.integers(-extent, extent - 1)))
        elif kind == "tensor":
            items.append(some_places(draw, draw(st.sampled_from([(1,), (3,), (2, 1), ()])), extent, low=-extent))
        elif kind == "list":
            items.append([0, extent - 1, -1])
        else:
            bound = st.one_of(st.none(), st.integers(-6, 6))
            items.append(slice(draw(bound), draw(bound), draw(st.sampled_from([None, 1, 2, 3]))))
    if draw(st.booleans()):
        items.insert(draw(st.integers(0, len(items))), ...)
    if draw(st.integers(0, 5)) == 0:
        return Call([x, tensor(draw, tuple(x.shape[: draw(st.integers(1, x.ndim))]), "bool")])
    return Call([x, tuple(items)])


@sample
def embedding(draw: Draw, row: Op) -> Call:
    weight = tensor(draw, (draw(st.integers(1, 6)), draw(st.integers(0, 6))))
    return Call([some_places(draw, SHAPE, weight.shape[0], any_dtype(draw, row)), weight])
