"""Determinants, inverses and linear systems, computed on the host."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ggml.core import dtypes
from ggml.core.errors import ArgumentError, LinAlgError, ShapeMismatchError
from ggml.ops.linalg.matrices import (
    Array,
    answering,
    exact,
    floats,
    matrices,
    matrix_row,
    rounded,
    squares,
    turned,
    whole,
)
from ggml.registry.arguments import broadcast, convert, integer, number, strictly_floating
from ggml.registry.results import InverseEx, LeastSquares, SignAndLogabsdet, SolveEx
from ggml.tensors.tensor import Tensor
from ggml.tensors.transfer import axis

_SINGULAR = "a matrix is singular"


@matrix_row("square_matrices", methods=("det",))
def det(A: Tensor) -> Tensor:
    """The determinants of square matrices."""
    x = squares("linalg.det", A)
    with answering("linalg.det"):
        return rounded(np.linalg.det(exact("linalg.det", x)), x)


@matrix_row("square_matrices", methods=("slogdet",))
def slogdet(A: Tensor) -> SignAndLogabsdet:
    """The signs of determinants and the logarithms of their absolute values: 0 and -inf of singular matrices."""
    x = squares("linalg.slogdet", A)
    with answering("linalg.slogdet"):
        sign, logarithm = np.linalg.slogdet(exact("linalg.slogdet", x))
    return SignAndLogabsdet(rounded(sign, x), rounded(logarithm, x))


@matrix_row("square_matrices", methods=("logdet",), place="logdet")
def logdet(input: Tensor) -> Tensor:
    """The logarithms of determinants; NaN of negative ones."""
    x = squares("logdet", input, "input")
    with answering("logdet"):
        sign, logarithm = np.linalg.slogdet(exact("logdet", x))
    return rounded(np.where(sign < 0, np.nan, logarithm), x)


def singular(array: Array) -> Array:
    """Which matrices have no inverse: those whose elimination meets a pivot of exactly 0."""
    return np.asarray(np.linalg.slogdet(array)[0] == 0)


def _inverted(name: str, A: Any) -> tuple[Tensor, Array, Array]:
    """The matrices, their inverses (0 where there is none), and where there is none."""
    x = squares(name, A)
    array = exact(name, x)
    with answering(name, _SINGULAR):
        missing = singular(array)
        regular = np.where(missing[..., None, None], np.eye(array.shape[-1]), array)
        inverse = np.linalg.inv(regular) if array.size else array
    return x, np.where(missing[..., None, None], 0.0, inverse), missing


@matrix_row("square_matrices", methods=("inverse",))
def inv(A: Tensor) -> Tensor:
    """The inverses of square matrices; LinAlgError if one is singular."""
    x, inverse, missing = _inverted("linalg.inv", A)
    if missing.any():
        raise LinAlgError("linalg.inv", _SINGULAR)
    return rounded(inverse, x)


@matrix_row("regular_matrices")
def inv_ex(A: Tensor, *, check_errors: bool = False) -> InverseEx:
    """The inverses, and an int32 for each: not 0 (and an inverse without meaning) where a matrix is singular."""
    x, inverse, missing = _inverted("linalg.inv_ex", A)
    if check_errors and missing.any():
        raise LinAlgError("linalg.inv_ex", _SINGULAR)
    return InverseEx(rounded(inverse, x), whole(missing * x.shape[-1], x, dtypes.int32))


def _is_vector(a: Tensor, b: Tensor) -> bool:
    """Whether ``B`` is a batch of vectors, by PyTorch's rule."""
    return b.ndim == 1 or (a.ndim - 1 == b.ndim and a._node.shape[:-1] == b._node.shape)


def _solved(name: str, A: Any, B: Any, left: bool) -> tuple[Tensor, Array, Array]:
    a, b = squares(name, A), floats(name, B, "B")
    is_vector = _is_vector(a, b)
    if not is_vector and b.ndim < 2:
        raise ShapeMismatchError(name, "a B of vectors or matrices that A fits", (tuple(a.shape), tuple(b.shape)))
    if is_vector and not left:
        raise ArgumentError(name, "left", "must be True where B is a vector")
    right = exact(name, b)[..., None] if is_vector else exact(name, b)
    if a.shape[-1] != right.shape[-2 if left else -1]:
        raise ShapeMismatchError(name, "a B that A fits", (tuple(a.shape), tuple(b.shape)))
    array = exact(name, a)
    lead = broadcast(name, a._node.shape[:-2], right.shape[:-2])
    missing = singular(array)
    regular = np.where(missing[..., None, None], np.eye(a.shape[-1]), array)
    with answering(name, _SINGULAR):
        wide = np.broadcast_to(regular, (*lead, *array.shape[-2:]))
        side = np.broadcast_to(right, (*lead, *right.shape[-2:]))
        if 0 in side.shape:
            result = np.zeros(side.shape)
        else:
            result = np.linalg.solve(wide, side) if left else turned(np.linalg.solve(turned(wide), turned(side)))
    return a, result[..., 0] if is_vector else result, missing


@matrix_row("linear_system")
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """X of ``A @ X = B`` (or of ``X @ A = B`` with ``left=False``) for square A; LinAlgError if one is singular."""
    a, result, missing = _solved("linalg.solve", A, B, bool(left))
    if missing.any():
        raise LinAlgError("linalg.solve", _SINGULAR)
    return rounded(result, a)


@matrix_row("linear_system_regular")
def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> SolveEx:
    """As ``solve``, and an int32 for each matrix: not 0 (and a result without meaning) where it is singular."""
    a, result, missing = _solved("linalg.solve_ex", A, B, bool(left))
    if check_errors and missing.any():
        raise LinAlgError("linalg.solve_ex", _SINGULAR)
    return SolveEx(rounded(result, a), whole(missing * a.shape[-1], a, dtypes.int32))


_DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


@matrix_row("least_squares")
def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> LeastSquares:
    """X of the smallest ``|A @ X - B|``, the squares that are left, the rank, and the singular values.

    Singular values below ``rcond`` times the largest count as 0 (the default is float32's precision times the larger
    extent). Which results are empty depends on ``driver``, as in PyTorch.
    """
    name = "linalg.lstsq"
    a, b = matrices(name, A), floats(name, B, "B")
    kind = "gelsy" if driver is None else driver
    if kind not in _DRIVERS:
        raise ArgumentError(name, "driver", f"must be one of {', '.join(_DRIVERS)}, not {driver!r}")
    is_vector = a.ndim - 1 == b.ndim and a._node.shape[:-1] == b._node.shape
    if b.ndim < 1 or (not is_vector and b.ndim < 2) or a.shape[-2] != b.shape[-1 if is_vector else -2]:
        raise ShapeMismatchError(name, "a B with the rows of A", (tuple(a.shape), tuple(b.shape)))
    m, n = a.shape[-2:]
    right = exact(name, b)[..., None] if is_vector else exact(name, b)
    lead = broadcast(name, a._node.shape[:-2], right.shape[:-2])
    left = exact(name, a)
    cut = float(np.finfo(np.float32).eps) * max(m, n) if rcond is None else float(number(name, rcond, "rcond"))
    with answering(name):
        solution, rank, values = _least(left, right, (*lead, n, right.shape[-1]), cut)
        rest = np.square(left @ solution - right).sum(-2)
    keeps_rest = m > n and kind != "gelsy" and bool((rank == n).all())
    return LeastSquares(
        rounded(solution[..., 0] if is_vector else solution, a),
        rounded(rest if keeps_rest else np.zeros(0), a),
        whole(np.zeros(0) if kind == "gels" else rank, a),
        rounded(values if kind in ("gelsd", "gelss") else np.zeros(0), a),
    )


def _least(left: Array, right: Array, shape: tuple[int, ...], cut: float) -> tuple[Array, Array, Array]:
    """The solution of least squares (and least norm) of this shape, the ranks and the singular values."""
    if 0 in left.shape or 0 in right.shape:
        values = np.zeros((*left.shape[:-2], min(left.shape[-2:])))
        return np.zeros(shape), np.zeros(left.shape[:-2]), values
    u, values, vh = np.linalg.svd(left, full_matrices=False)
    kept = values > cut * values.max(-1, keepdims=True)
    inverse = np.where(kept, 1 / np.where(kept, values, 1.0), 0.0)
    return turned(vh) @ (inverse[..., None] * (turned(u) @ right)), kept.sum(-1), values


@matrix_row("tensor_inverse")
def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse of ``tensordot`` with A over its first ``ind`` axes."""
    x, count = floats("linalg.tensorinv", A), integer("linalg.tensorinv", ind, "ind")
    if count < 1:
        raise ArgumentError("linalg.tensorinv", "ind", f"must be positive: {count}")
    front, back = x._node.shape[:count], x._node.shape[count:]
    if math.prod(front) != math.prod(back):
        raise ShapeMismatchError("linalg.tensorinv", "as many elements before axis ind as behind it", tuple(x.shape))
    array = exact("linalg.tensorinv", x).reshape(math.prod(front), math.prod(back))
    with answering("linalg.tensorinv", _SINGULAR):
        if array.size and singular(array):
            raise LinAlgError("linalg.tensorinv", _SINGULAR)
        inverse = np.linalg.inv(array) if array.size else array
    return rounded(inverse.reshape((*back, *front)), x)


@matrix_row("tensor_system")
def tensorsolve(A: Tensor, B: Tensor, dims: Sequence[int] | None = None) -> Tensor:
    """X of ``tensordot(A, X, X.ndim) = B``; the axes ``dims`` of A are moved behind the others first."""
    name = "linalg.tensorsolve"
    a, b = floats(name, A), floats(name, B, "B")
    array, right = exact(name, a), exact(name, b)
    if dims is not None:
        named: list[Any] = list(dims) if isinstance(dims, (tuple, list)) else [dims]
        places = [axis(name, one, a.ndim) for one in named]
        if len(set(places)) != len(places):
            raise ArgumentError(name, "dims", f"names an axis twice: {dims}")
        array = np.moveaxis(array, places, range(a.ndim - len(places), a.ndim))
    shape = array.shape[b.ndim :]
    if math.prod(shape) != math.prod(array.shape[: b.ndim]) or math.prod(shape) != right.size:
        raise ShapeMismatchError(name, "an A of as many rows as columns and elements of B", (a.shape, b.shape))
    with answering(name, _SINGULAR):
        square = array.reshape(right.size, right.size)
        if square.size and singular(square):
            raise LinAlgError(name, _SINGULAR)
        result = np.linalg.solve(square, right.reshape(-1)) if square.size else np.zeros(0)
    return rounded(result.reshape(shape), a)


# The largest norms for which a Pade approximant of this degree is exact to float64 (Higham 2005, table 2.3).
_THETA = 5.371920351148152
_PADE = (64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0,
         10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0,
         1.0)  # fmt: skip


@matrix_row("square_matrices", methods=("matrix_exp",))
def matrix_exp(A: Tensor) -> Tensor:
    """The exponentials of square matrices."""
    x = strictly_floating("linalg.matrix_exp", A, "A")
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeMismatchError("linalg.matrix_exp", "square matrices", tuple(x.shape))
    with answering("linalg.matrix_exp"):
        return convert(rounded(_exponential(exact("linalg.matrix_exp", x)), x), x.dtype)


def _exponential(array: Array) -> Array:
    """Scaling and squaring with a Pade approximant of degree 13 (Higham 2005)."""
    if not array.size:
        return array
    norm = np.abs(array).sum(-2).max(-1)
    if not np.isfinite(norm).all():
        return np.full_like(array, np.nan)
    halvings = np.maximum(np.ceil(np.log2(np.maximum(norm, 1e-300) / _THETA)), 0).astype(int)
    x = array / np.exp2(halvings)[..., None, None]
    eye = np.eye(array.shape[-1])
    x2 = x @ x
    x4 = x2 @ x2
    x6 = x2 @ x4
    b = _PADE
    odd = x @ (x6 @ (b[13] * x6 + b[11] * x4 + b[9] * x2) + b[7] * x6 + b[5] * x4 + b[3] * x2 + b[1] * eye)
    even = x6 @ (b[12] * x6 + b[10] * x4 + b[8] * x2) + b[6] * x6 + b[4] * x4 + b[2] * x2 + b[0] * eye
    result = np.linalg.solve(even - odd, even + odd)
    for step in range(int(halvings.max())):
        result = np.where((step < halvings)[..., None, None], result @ result, result)
    return result
