"""Sums of products: einsum and its kin, norms, triangular systems."""

from __future__ import annotations

import itertools
import math
from typing import Any

from hypothesis import strategies as st

from ggml.core.op import Op
from tests.ggml.arrays import Draw, broadcastable, tensor, torch
from tests.ggml.samples.common import MATRIX, Call, any_dim, any_dims, any_dtype, sample
from tests.ggml.samples.products import _added, _matrices, _scales

EXTENT = st.integers(0, 4)


def _subscripts(draw: Draw, sizes: dict[str, int]) -> str:
    letters = draw(st.lists(st.sampled_from(list(sizes)), max_size=3))
    if draw(st.booleans()):
        letters.insert(draw(st.integers(0, len(letters))), "...")
    return "".join(letters)


def _operand(draw: Draw, text: str, sizes: dict[str, int], dots: tuple[int, ...], dtype: str) -> Any:
    shape: list[int] = []
    for part in text.replace("...", "."):
        # An axis of 1 broadcasts against the others; a repeated subscript must not.
        is_one = draw(st.integers(0, 9)) == 0 and text.count(part) == 1
        shape += broadcastable(draw, dots) if part == "." else (1 if is_one else sizes[part],)
    return tensor(draw, tuple(shape), dtype)


@sample
def einsum(draw: Draw, row: Op) -> Call:
    """Any equation over few letters; now and then one that PyTorch refuses."""
    sizes = {letter: draw(EXTENT) for letter in "ijkB"}
    dots = draw(st.lists(st.integers(1, 3), max_size=2).map(tuple))
    dtype = any_dtype(draw, row)
    texts = [_subscripts(draw, sizes) for _ in range(draw(st.integers(1, 3)))]
    operands = [_operand(draw, text, sizes, dots, dtype) for text in texts]
    equation = ",".join(texts)
    if draw(st.booleans()):
        used = sorted({letter for text in texts for letter in text.replace(".", "")})
        letters = draw(st.permutations(used)) if used else []
        equation += "->" + draw(st.sampled_from(("...", ""))) + "".join(letters[: draw(st.integers(0, 4))])
    equation = equation.replace(",", " , ") if draw(st.booleans()) else equation
    equation = draw(st.sampled_from([equation] * 9 + ["ij,jk->iz"]))
    if draw(st.booleans()):
        return Call([equation, operands])
    return Call([equation, *operands])


@sample
def tensordot(draw: Draw, row: Op) -> Call:
    shared = draw(st.lists(EXTENT, max_size=3).map(tuple))
    before, after = (draw(st.lists(EXTENT, max_size=2).map(tuple)) for _ in range(2))
    dtype = any_dtype(draw, row)
    a, b = tensor(draw, (*before, *shared), dtype), tensor(draw, (*shared, *after), dtype)
    if draw(st.booleans()):
        return Call([a, b, len(shared)])
    turned = list(reversed(range(len(shared))))
    b = tensor(draw, (*(shared[d] for d in turned), *after), dtype)
    return Call([a, b, (list(range(len(before), a.ndim)), turned)])


@sample
def kron(draw: Draw, row: Op) -> Call:
    shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)
    return Call([tensor(draw, shapes, any_dtype(draw, row)), tensor(draw, shapes, any_dtype(draw, row))])


@sample
def inner(draw: Draw, row: Op) -> Call:
    width, dtype = draw(EXTENT), any_dtype(draw, row)
    shapes = [(*draw(st.lists(EXTENT, max_size=2)), width) for _ in range(2)]
    if draw(st.integers(0, 5)) == 0:
        shapes[draw(st.integers(0, 1))] = ()
    return Call([tensor(draw, shape, dtype) for shape in shapes])


def _chain(draw: Draw, row: Op, count: int) -> list[Any]:
    extents = [draw(st.integers(1, 6)) for _ in range(count + 1)]
    dtype = any_dtype(draw, row)
    return [tensor(draw, pair, dtype, -1.0, 1.0) for pair in itertools.pairwise(extents)]


@sample
def multi_dot(draw: Draw, row: Op) -> Call:
    parts = _chain(draw, row, draw(st.integers(1, 5)))
    if draw(st.integers(0, 3)) == 0:
        parts[0] = parts[0][0]
    if draw(st.integers(0, 3)) == 0:
        parts[-1] = parts[-1][..., 0]
    return Call([parts])


@sample
def chain_matmul(draw: Draw, row: Op) -> Call:
    return Call(_chain(draw, row, draw(st.integers(1, 4))))


def _vectors(draw: Draw, row: Op) -> tuple[Any, Any, int]:
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    at = draw(st.integers(0, len(shape) - 1))
    shape[at] = 3 if draw(st.integers(0, 9)) else 2
    dtype = any_dtype(draw, row)
    other = [1 if d != at and draw(st.booleans()) else extent for d, extent in enumerate(shape)]
    a, b = tensor(draw, tuple(shape), dtype), tensor(draw, tuple(other), dtype)
    return a.round(), b.round(), at  # whole numbers: products that cancel leave no rounding behind


@sample
def cross(draw: Draw, row: Op) -> Call:
    a, b, at = _vectors(draw, row)
    return Call([a, b, at] if draw(st.booleans()) else [a, b])


@sample
def linalg_cross(draw: Draw, row: Op) -> Call:
    a, b, at = _vectors(draw, row)
    return Call([a, b], {"dim": at - draw(st.sampled_from((0, a.ndim)))})


@sample
def addr(draw: Draw, row: Op) -> Call:
    dtype = any_dtype(draw, row)
    parts = [tensor(draw, (draw(EXTENT),), dtype) for _ in range(2)]
    shape = (parts[0].shape[0], parts[1].shape[0])
    return Call([tensor(draw, broadcastable(draw, shape), dtype), *parts], _scales(draw))


@sample
def addmv(draw: Draw, row: Op) -> Call:
    matrix, other = _matrices(draw, row)
    dtype = str(matrix.dtype).removeprefix("torch.")
    vector = tensor(draw, (other.shape[0],), dtype)
    return Call([tensor(draw, (matrix.shape[0],), dtype), matrix, vector], _scales(draw))


@sample
def baddbmm_sum(draw: Draw, row: Op) -> Call:
    parts = _matrices(draw, row, (draw(st.integers(0, 3)),))
    return Call([_added(draw, [part[0] if len(part) else part.sum(0) for part in parts]), *parts], _scales(draw))


@sample
def matrix_numbers(draw: Draw, row: Op) -> Call:
    return Call([tensor(draw, draw(MATRIX), any_dtype(draw, row))])


@sample
def matrix_power(draw: Draw, row: Op) -> Call:
    extent = draw(EXTENT)
    shape = (*draw(st.lists(st.integers(1, 3), max_size=2)), extent, extent)
    return Call([tensor(draw, shape, any_dtype(draw, row), -1.0, 1.0), draw(st.integers(0, 5))])


@sample
def vector_norm(draw: Draw, row: Op) -> Call:
    x = tensor(draw, st.lists(st.integers(1, 5), max_size=3).map(tuple), any_dtype(draw, row))
    orders = st.sampled_from((2, 1, 0, 3.5, math.inf, -math.inf))
    return Call([x, draw(orders)], {"dim": any_dims(draw, x), "keepdim": draw(st.booleans())})


@sample
def matrix_norm(draw: Draw, row: Op) -> Call:
    x = tensor(draw, st.lists(st.integers(1, 5), min_size=2, max_size=4).map(tuple), any_dtype(draw, row))
    dims = draw(st.permutations(range(x.ndim)))[:2]
    order = draw(st.sampled_from(("fro", 1, -1, math.inf, -math.inf)))
    return Call([x, order], {"dim": tuple(dims), "keepdim": draw(st.booleans())})


@sample
def linalg_norm(draw: Draw, row: Op) -> Call:
    x = tensor(draw, st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple), any_dtype(draw, row))
    kind = draw(st.sampled_from(("all", "vector", "matrix", "rank")))
    if kind == "all":
        return Call([x], {"keepdim": draw(st.booleans())})
    order = draw(st.sampled_from((1, -1, math.inf, -math.inf)))
    if kind == "vector":
        return Call([x, draw(st.sampled_from((2, 0, order))), any_dim(draw, x)])
    return Call([x, order, (0, -1)] if kind == "matrix" and x.ndim > 1 else [x, order])


@sample
def vecdot(draw: Draw, row: Op) -> Call:
    shape = draw(st.lists(EXTENT, min_size=1, max_size=3).map(tuple))
    dtype, dim = any_dtype(draw, row), draw(st.integers(-1, 0))
    other = tuple(1 if draw(st.integers(0, 3)) == 0 and d != dim % len(shape) else n for d, n in enumerate(shape))
    return Call([tensor(draw, shape, dtype), tensor(draw, other, dtype)], {"dim": dim if len(shape) == 1 else -1})


@sample
def linalg_diagonal(draw: Draw, row: Op) -> Call:
    x = tensor(draw, st.lists(EXTENT, min_size=2, max_size=4).map(tuple), any_dtype(draw, row))
    dims = draw(st.permutations(range(x.ndim)))
    places = {"dim1": dims[0], "dim2": dims[1] - x.ndim} if draw(st.booleans()) else {}
    return Call([x], {"offset": draw(st.integers(-3, 3)), **places})


@sample
def solve_triangular(draw: Draw, row: Op) -> Call:
    extent, count = draw(st.integers(0, 5)), draw(st.integers(0, 4))
    outer = draw(st.lists(st.integers(1, 3), max_size=2).map(tuple))
    is_left = draw(st.booleans())
    a = tensor(draw, (*broadcastable(draw, outer), extent, extent), "float32", -1.0, 1.0)
    a = a + 3 * torch.eye(extent) * torch.sign(a + 0.5)  # far enough from singular
    b = tensor(draw, (*broadcastable(draw, outer), *((extent, count) if is_left else (count, extent))))
    return Call([a, b], {"upper": draw(st.booleans()), "left": is_left, "unitriangular": draw(st.booleans())})
