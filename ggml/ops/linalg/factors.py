"""Matrices as products of triangular and orthogonal ones, computed on the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from ggml.core import dtypes
from ggml.core.errors import LinAlgError, ShapeMismatchError
from ggml.ops.linalg.matrices import (
    Array,
    answering,
    exact,
    finite,
    floats,
    matrices,
    matrix_row,
    rounded,
    squares,
    turned,
    whole,
)
from ggml.registry.arguments import broadcast, choice
from ggml.registry.results import CholeskyEx, QRFactors
from ggml.tensors.tensor import Tensor

_NOT_POSITIVE = "a matrix is not positive-definite"


def _root(array: Array) -> tuple[Array, Array]:
    """The lower Cholesky factors, and the order of the first minor that is not positive, 0 if there is none."""
    lead, n = array.shape[:-2], array.shape[-1]
    symmetric = np.tril(array) + turned(np.tril(array, -1))
    result, info = np.zeros(array.shape), np.zeros(lead, np.int32)
    for place in np.ndindex(*lead):
        try:
            result[place] = np.linalg.cholesky(symmetric[place])
        except np.linalg.LinAlgError:
            info[place] = next(k for k in range(1, n + 1) if not _is_positive(symmetric[place][:k, :k]))
    return result, info


def _is_positive(array: Array) -> bool:
    try:
        np.linalg.cholesky(array)
    except np.linalg.LinAlgError:
        return False
    return True


def _cholesky(name: str, A: Any, upper: bool, argument: str = "A") -> tuple[Tensor, Array, Array]:
    x = squares(name, A, argument)
    array = exact(name, x)
    with answering(name, _NOT_POSITIVE):
        result, info = _root(turned(array) if upper else array)
    return x, turned(result) if upper else result, info


@matrix_row("positive_matrices")
def linalg_cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """The lower triangle L with ``L @ L.mT = A`` (or its transpose); LinAlgError if A is not positive-definite."""
    x, result, info = _cholesky("linalg.cholesky", A, bool(upper))
    if info.any():
        raise LinAlgError("linalg.cholesky", _NOT_POSITIVE)
    return rounded(result, x)


@matrix_row("positive_matrices", methods=("cholesky",), place="cholesky")
def cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """As ``linalg.cholesky``."""
    x, result, info = _cholesky("cholesky", input, bool(upper), "input")
    if info.any():
        raise LinAlgError("cholesky", _NOT_POSITIVE)
    return rounded(result, x)


@matrix_row("positive_matrices")
def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> CholeskyEx:
    """As ``cholesky``, and for each matrix the order of its first minor that is not positive: 0 if there is none."""
    x, result, info = _cholesky("linalg.cholesky_ex", A, bool(upper))
    if check_errors and info.any():
        raise LinAlgError("linalg.cholesky_ex", _NOT_POSITIVE)
    return CholeskyEx(rounded(result, x), whole(info, x, dtypes.int32))


def _product(name: str, factor: Tensor, upper: bool) -> Array:
    """The matrices of which these are Cholesky factors."""
    array = exact(name, factor)
    root = turned(np.triu(array)) if upper else np.tril(array)
    return np.asarray(root @ turned(root))


@matrix_row("cholesky_solve", methods=("cholesky_solve",), place="cholesky_solve")
def cholesky_solve(B: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """X of ``A @ X = B``, where L is the Cholesky factor of A."""
    name = "cholesky_solve"
    b, factor = matrices(name, B, "B"), squares(name, L, "L")
    if b.shape[-2] != factor.shape[-1]:
        raise ShapeMismatchError(name, "a B with the rows of L", (tuple(b.shape), tuple(factor.shape)))
    lead = broadcast(name, b._node.shape[:-2], factor._node.shape[:-2])
    with answering(name, "a factor has a 0 on its diagonal"):
        left = np.broadcast_to(_product(name, factor, bool(upper)), (*lead, *factor.shape[-2:]))
        right = np.broadcast_to(exact(name, b), (*lead, *b.shape[-2:]))
        return rounded(np.linalg.solve(left, right) if right.size else np.zeros(right.shape), b)


@matrix_row("cholesky_factors", methods=("cholesky_inverse",), place="cholesky_inverse")
def cholesky_inverse(L: Tensor, upper: bool = False) -> Tensor:
    """The inverse of A, of which L is the Cholesky factor."""
    name = "cholesky_inverse"
    factor = squares(name, L, "L")
    with answering(name, "a factor has a 0 on its diagonal"):
        product = _product(name, factor, bool(upper))
        return rounded(np.linalg.inv(product) if product.size else product, factor)


_MODES = ("reduced", "complete", "r")


def _qr(name: str, x: Tensor, mode: str) -> tuple[Array, Array]:
    array = exact(name, x)
    m, n = array.shape[-2:]
    if not array.size:
        width = m if mode == "complete" else min(m, n)
        return np.broadcast_to(np.eye(m, width), (*array.shape[:-2], m, width)), np.zeros((*array.shape[:-2], width, n))
    with answering(name):
        q, r = np.linalg.qr(array, "complete" if mode == "complete" else "reduced")
    return q, r


@matrix_row("orthogonal")
def linalg_qr(A: Tensor, mode: str = "reduced") -> QRFactors:
    """``Q @ R`` of matrices: Q has orthonormal columns, R is an upper triangle. With "r", Q is empty."""
    name = "linalg.qr"
    x = matrices(name, A)
    choice(name, "mode", mode, _MODES)
    q, r = _qr(name, x, mode)
    return QRFactors(rounded(np.zeros(0) if mode == "r" else q, x), rounded(r, x))


@matrix_row("old_qr", methods=("qr",), place="qr")
def qr(input: Tensor, some: bool = True) -> QRFactors:
    """As ``linalg.qr``: reduced, or complete with ``some=False``."""
    x = matrices("qr", input, "input")
    q, r = _qr("qr", x, "reduced" if some else "complete")
    return QRFactors(rounded(q, x), rounded(r, x))


@matrix_row("householder")
def householder_product(A: Tensor, tau: Tensor) -> Tensor:
    """The first columns of the product of reflections, whose vectors are the columns of A below the diagonal."""
    name = "linalg.householder_product"
    x, factors = matrices(name, A), floats(name, tau, "tau")
    m, n = x.shape[-2:]
    lead = x._node.shape[:-2]
    if m < n or factors._node.shape[:-1] != lead or not factors.ndim or factors.shape[-1] > n:
        raise ShapeMismatchError(
            name, "an A at least as high as wide, and a tau of its columns", (x.shape, factors.shape)
        )
    array, scale = exact(name, x), exact(name, factors)
    finite(name, array)
    result = np.broadcast_to(np.eye(m, n), array.shape).copy()
    for k in reversed(range(factors.shape[-1])):
        vector = np.where(np.arange(m) > k, array[..., k], np.where(np.arange(m) == k, 1.0, 0.0))
        along = np.einsum("...i,...ij->...j", vector, result)
        result -= scale[..., k, None, None] * vector[..., :, None] * along[..., None, :]
    return rounded(result, x)
