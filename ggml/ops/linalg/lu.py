"""Matrices as products of a permutation and two triangles, and what is solved with them, on the host."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ggml.core import dtypes
from ggml.core.errors import ArgumentError, DTypeError, LinAlgError, ShapeMismatchError
from ggml.ops.linalg.matrices import Array, answering, exact, matrices, matrix_row, rounded, squares, turned, whole
from ggml.registry.arguments import broadcast, tensor
from ggml.registry.host_results import read
from ggml.registry.results import LUFactors, LUFactorsEx, PermutedTriangles
from ggml.tensors.tensor import Tensor


def _eliminated(array: Array) -> tuple[Array, Array, Array]:
    """L and U in one array, the rows that were swapped (from 1), and the first pivot of 0 (from 1; else 0)."""
    lead, (m, n) = array.shape[:-2], array.shape[-2:]
    count = min(m, n)
    work = array.reshape(math.prod(lead), m, n).copy()
    pivots, info = np.zeros((len(work), count), np.int32), np.zeros(len(work), np.int32)
    every = np.arange(len(work))
    for k in range(count):
        best = k + np.abs(work[:, k:, k]).argmax(-1)
        pivots[:, k] = best + 1
        work[every, k], work[every, best] = work[every, best], work[every, k].copy()
        pivot = work[:, k, k]
        info = np.where((info == 0) & (pivot == 0), k + 1, info)
        work[:, k + 1 :, k] /= np.where(pivot == 0, 1.0, pivot)[:, None]
        work[:, k + 1 :, k + 1 :] -= work[:, k + 1 :, k, None] * work[:, k, None, k + 1 :]
    return work.reshape(array.shape), pivots.reshape(*lead, count), info.reshape(lead).astype(np.int32)


def _lu(name: str, A: Any, pivot: bool, argument: str = "A") -> tuple[Tensor, Array, Array, Array]:
    x = matrices(name, A, argument)
    if not pivot:
        raise ArgumentError(name, "pivot", "must be True on the CPU")
    with answering(name):
        return x, *_eliminated(exact(name, x))


@matrix_row("lu")
def lu_factor(A: Tensor, *, pivot: bool = True) -> LUFactors:
    """L and U of matrices in one tensor, and the rows that were swapped, counted from 1."""
    x, factors, pivots, info = _lu("linalg.lu_factor", A, pivot)
    if info.any():
        raise LinAlgError("linalg.lu_factor", "a pivot is 0: a matrix is singular")
    return LUFactors(rounded(factors, x), whole(pivots, x, dtypes.int32))


@matrix_row("lu")
def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> LUFactorsEx:
    """As ``lu_factor``, and for each matrix the place of its first pivot of 0, counted from 1; 0 if there is none."""
    x, factors, pivots, info = _lu("linalg.lu_factor_ex", A, pivot)
    if check_errors and info.any():
        raise LinAlgError("linalg.lu_factor_ex", "a pivot is 0: a matrix is singular")
    return LUFactorsEx(rounded(factors, x), whole(pivots, x, dtypes.int32), whole(info, x, dtypes.int32))


def _apart(factors: Array) -> tuple[Array, Array]:
    """L [..., m, k] with ones on its diagonal, and U [..., k, n]."""
    m, n = factors.shape[-2:]
    count = min(m, n)
    return np.tril(factors[..., :count], -1) + np.eye(m, count), np.triu(factors[..., :count, :])


def _order(pivots: Array, m: int) -> Array:
    """The rows of A in the order of those of ``L @ U``."""
    flat = pivots.reshape(math.prod(pivots.shape[:-1]), pivots.shape[-1])
    order = np.broadcast_to(np.arange(m), (len(flat), m)).copy()
    every = np.arange(len(flat))
    for k in range(flat.shape[-1]):
        other = flat[:, k] - 1
        order[every, k], order[every, other] = order[every, other], order[every, k].copy()
    return order.reshape(*pivots.shape[:-1], m)


def _permutation(pivots: Array, m: int) -> Array:
    """P of ``A = P @ L @ U``."""
    return np.asarray(turned(np.eye(m)[_order(pivots, m)]))


@matrix_row("lu")
def linalg_lu(A: Tensor, *, pivot: bool = True) -> PermutedTriangles:
    """``P @ L @ U`` of matrices: a permutation, a lower triangle with ones on its diagonal, an upper one."""
    x, factors, pivots, _ = _lu("linalg.lu", A, pivot)
    low, high = _apart(factors)
    return PermutedTriangles(rounded(_permutation(pivots, x.shape[-2]), x), rounded(low, x), rounded(high, x))


@matrix_row("lu", methods=("lu",), place="Tensor.lu")
def lu(A: Tensor, pivot: bool = True, get_infos: bool = False) -> tuple[Tensor, ...]:
    """L and U of matrices in one tensor, the rows that were swapped, and with ``get_infos`` pivots of 0."""
    x, factors, pivots, info = _lu("lu", A, pivot)
    results = (rounded(factors, x), whole(pivots, x, dtypes.int32), whole(info, x, dtypes.int32))
    return results if get_infos else results[:2]


def _pivots(name: str, value: Any, factors: Tensor) -> Array:
    """Swapped rows that fit the factors, which come from outside."""
    given = tensor(name, value, "pivots")
    if given.dtype is not dtypes.int32:
        raise DTypeError(name, "int32 pivots", given.dtype)
    wanted = (*factors._node.shape[:-2], min(factors.shape[-2:]))
    if given._node.shape != wanted:
        raise ShapeMismatchError(name, f"pivots {wanted}", tuple(given.shape))
    pivots = np.asarray(read(name, given))
    if ((pivots < 1) | (pivots > factors.shape[-2])).any():
        raise ArgumentError(name, "pivots", f"must lie between 1 and {factors.shape[-2]}")
    return pivots


@matrix_row("lu_solve")
def linalg_lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False) -> Tensor:
    """X of ``A @ X = B`` from what ``lu_factor`` gives of A (``X @ A = B`` without ``left``; ``adjoint``: A.mT)."""
    return _lu_solved("linalg.lu_solve", LU, pivots, B, bool(left), bool(adjoint))


@matrix_row("lu_solve_old", methods=("lu_solve",), place="lu_solve")
def lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """X of ``A @ X = b`` from what ``lu_factor`` gives of A."""
    return _lu_solved("lu_solve", LU_data, LU_pivots, b, True, False)


def _lu_solved(name: str, LU: Any, pivots: Any, B: Any, left: bool, adjoint: bool) -> Tensor:
    factors, b = squares(name, LU, "LU"), matrices(name, B, "B")
    if factors.shape[-1] != b.shape[-2 if left else -1]:
        raise ShapeMismatchError(name, "a B that LU fits", (tuple(factors.shape), tuple(b.shape)))
    lead = broadcast(name, factors._node.shape[:-2], b._node.shape[:-2])
    low, high = _apart(exact(name, factors))
    product = _permutation(_pivots(name, pivots, factors), factors.shape[-1]) @ (low @ high)
    product = turned(product) if adjoint == left else product
    right = exact(name, b) if left else turned(exact(name, b))
    right = np.broadcast_to(right, (*lead, *right.shape[-2:]))
    with answering(name, "a pivot is 0: a matrix is singular"):
        wide = np.broadcast_to(product, (*lead, *product.shape[-2:]))
        result = np.linalg.solve(wide, right) if right.size else np.zeros(right.shape)
    return rounded(result if left else turned(result), b)


@matrix_row("lu_unpack", place="lu_unpack")
def lu_unpack(
    LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True
) -> PermutedTriangles:
    """P, L and U of what ``lu_factor`` gives; what is not asked for is empty."""
    name = "lu_unpack"
    factors = matrices(name, LU_data, "LU_data")
    low, high = _apart(exact(name, factors)) if unpack_data else (np.zeros(0), np.zeros(0))
    order = np.zeros(0)
    if unpack_pivots:
        order = _permutation(_pivots(name, LU_pivots, factors), factors.shape[-2])
    return PermutedTriangles(rounded(order, factors), rounded(low, factors), rounded(high, factors))
