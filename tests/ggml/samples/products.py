"""Matrix products."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ggml.core.op import Op
from tests.ggml.arrays import Draw, broadcastable, tensor
from tests.ggml.samples.common import Call, any_dtype, sample


@sample
def matmul(draw: Draw, row: Op) -> Call:
    m, k, n = (draw(st.integers(0, 6)) for _ in range(3))
    outer = draw(st.lists(st.integers(1, 3), max_size=3).map(tuple))
    dtype = any_dtype(draw, row)
    a = tensor(draw, (*broadcastable(draw, outer), m, k), dtype)
    b = tensor(draw, (*broadcastable(draw, outer), k, n), dtype)
    kind = draw(st.sampled_from(["both", "both", "left", "right", "vectors"]))
    if kind == "left":
        a = tensor(draw, (k,), dtype)
    if kind == "right":
        b = tensor(draw, (k,), dtype)
    if kind == "vectors":
        a, b = tensor(draw, (k,), dtype), tensor(draw, (k,), dtype)
    return Call([a, b])


def _matrices(draw: Draw, row: Op, outer: tuple[int, ...] = ()) -> list[Any]:
    m, k, n = (draw(st.integers(0, 6)) for _ in range(3))
    dtype = any_dtype(draw, row)
    return [tensor(draw, (*outer, m, k), dtype), tensor(draw, (*outer, k, n), dtype)]


@sample
def mm(draw: Draw, row: Op) -> Call:
    return Call(_matrices(draw, row))


@sample
def bmm(draw: Draw, row: Op) -> Call:
    return Call(_matrices(draw, row, (draw(st.integers(0, 3)),)))


@sample
def mv(draw: Draw, row: Op) -> Call:
    a, b = _matrices(draw, row)
    return Call([a, tensor(draw, (b.shape[0],), str(a.dtype).removeprefix("torch."))])


@sample
def dot(draw: Draw, row: Op) -> Call:
    shape = (draw(st.integers(0, 9)),)
    dtype = any_dtype(draw, row)
    return Call([tensor(draw, shape, dtype), tensor(draw, shape, dtype)])


@sample
def dot_any(draw: Draw, row: Op) -> Call:
    dtype = any_dtype(draw, row)
    return Call([tensor(draw, (draw(st.integers(0, 5)),), dtype), tensor(draw, (draw(st.integers(0, 5)),), dtype)])


def _scales(draw: Draw) -> dict[str, Any]:
    return {"beta": draw(st.sampled_from([1, 0.5, 0])), "alpha": draw(st.sampled_from([1, -2.0]))}


def _added(draw: Draw, parts: list[Any]) -> Any:
    shape = (*parts[0].shape[:-1], parts[1].shape[-1])
    return tensor(draw, broadcastable(draw, tuple(shape)), str(parts[0].dtype).removeprefix("torch."))


@sample
def addmm(draw: Draw, row: Op) -> Call:
    parts = _matrices(draw, row)
    return Call([_added(draw, parts), *parts], _scales(draw))


@sample
def baddbmm(draw: Draw, row: Op) -> Call:
    parts = _matrices(draw, row, (draw(st.integers(1, 3)),))
    return Call([_added(draw, parts), *parts], _scales(draw))


@sample
def linear(draw: Draw, row: Op) -> Call:
    width, out = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    dtype = any_dtype(draw, row)
    x = tensor(draw, (*draw(st.lists(st.integers(0, 4), max_size=3)), width), dtype)
    bias = [tensor(draw, (out,), dtype)] if draw(st.booleans()) else []
    return Call([x, tensor(draw, (out, width), dtype), *bias])
