"""Eigenvalues and singular values, and what is worked out from them, computed on the host."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ggml.core.errors import ArgumentError, ShapeMismatchError
from ggml.ops.linalg.matrices import (
    Array,
    answering,
    exact,
    finite,
    matrices,
    matrix_row,
    rounded,
    singular_values,
    squares,
    turned,
    whole,
)
from ggml.ops.linalg.norms import matrix_norm
from ggml.ops.linalg.solving import singular
from ggml.registry.arguments import broadcast, norm_order, number, tensor
from ggml.registry.results import Eigen, OldSingularValueDecomposition, SingularValueDecomposition
from ggml.tensors.pairs import marked
from ggml.tensors.tensor import Tensor


def _lower(name: str, UPLO: Any) -> str:
    if not isinstance(UPLO, str) or UPLO.upper() not in ("L", "U"):
        raise ArgumentError(name, "UPLO", f"must be 'L' or 'U', not {UPLO!r}")
    return UPLO.upper()


@matrix_row("symmetric_spectrum")
def eigh(A: Tensor, UPLO: str = "L") -> Eigen:
    """The eigenvalues of symmetric matrices, smallest first, and the vectors as columns. One triangle is read."""
    name = "linalg.eigh"
    x, triangle = squares(name, A), _lower(name, UPLO)
    array = exact(name, x)
    finite(name, array)
    with answering(name):
        values, vectors = np.linalg.eigh(array, triangle)  # type: ignore[call-overload]
    return Eigen(rounded(values, x), rounded(vectors, x))


@matrix_row("symmetric_matrices")
def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of symmetric matrices, smallest first. One triangle is read."""
    name = "linalg.eigvalsh"
    x, triangle = squares(name, A), _lower(name, UPLO)
    array = exact(name, x)
    finite(name, array)
    with answering(name):
        return rounded(np.linalg.eigvalsh(array, triangle), x)  # type: ignore[call-overload]


def _paired(array: Array, like: Tensor) -> Tensor:
    """A complex tensor of complex numbers."""
    wide = np.asarray(array, np.complex128)
    return marked(rounded(np.stack([wide.real, wide.imag], -1), like))


@matrix_row("eigenvectors")
def eig(A: Tensor) -> Eigen:
    """The complex eigenvalues of square matrices, and the vectors as columns."""
    x = squares("linalg.eig", A)
    array = exact("linalg.eig", x)
    finite("linalg.eig", array)
    with answering("linalg.eig"):
        values, vectors = np.linalg.eig(array)
    return Eigen(_paired(values, x), _paired(vectors, x))


@matrix_row("eigenvalues")
def eigvals(A: Tensor) -> Tensor:
    """The complex eigenvalues of square matrices."""
    x = squares("linalg.eigvals", A)
    array = exact("linalg.eigvals", x)
    finite("linalg.eigvals", array)
    with answering("linalg.eigvals"):
        return _paired(np.linalg.eigvals(array), x)


def _factors(name: str, x: Tensor, full: bool) -> tuple[Array, Array, Array]:
    array = exact(name, x)
    finite(name, array)
    m, n = array.shape[-2:]
    if not m or not n:
        lead, least = array.shape[:-2], min(m, n)
        eye = [np.broadcast_to(np.eye(k, k if full else least), (*lead, k, k if full else least)) for k in (m, n)]
        return eye[0], np.zeros((*lead, least)), turned(eye[1])
    with answering(name):
        u, values, vh = np.linalg.svd(array, full_matrices=full)
    return u, values, vh


@matrix_row("singular_vectors")
def linalg_svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> SingularValueDecomposition:
    """``U @ diag(S) @ Vh`` of matrices, the largest singular value first. ``driver`` chooses nothing on the CPU."""
    name = "linalg.svd"
    x = matrices(name, A)
    _no_driver(name, driver)
    u, values, vh = _factors(name, x, bool(full_matrices))
    return SingularValueDecomposition(rounded(u, x), rounded(values, x), rounded(vh, x))


def _no_driver(name: str, driver: Any) -> None:
    if driver is not None:
        raise ArgumentError(name, "driver", "is for CUDA only")


@matrix_row("singular_values")
def svdvals(A: Tensor, *, driver: str | None = None) -> Tensor:
    """The singular values of matrices, the largest first."""
    name = "linalg.svdvals"
    x = matrices(name, A)
    _no_driver(name, driver)
    return rounded(singular_values(name, x), x)


def _tolerances(name: str, x: Tensor, largest: Array, atol: Any, rtol: Any) -> Array:
    """What singular values must exceed, by PyTorch's rules: [..., 1]."""
    bounds: list[Array | None] = []
    for given, argument in ((atol, "atol"), (rtol, "rtol")):
        if isinstance(given, Tensor):
            known = tensor(name, given, argument)
            broadcast(name, known._node.shape, x._node.shape[:-2])
            bounds.append(np.asarray(exact(name, known))[..., None])
        else:
            bounds.append(None if given is None else np.asarray(float(number(name, given, argument))))
    absolute, relative = bounds
    standard = float(np.finfo(np.float32).eps) * max(x.shape[-2:])
    if relative is None:
        relative = np.asarray(standard) if absolute is None else np.where(absolute > 0, 0.0, standard)
    return np.asarray(np.maximum(0.0 if absolute is None else absolute, relative * largest))


def _magnitudes(name: str, x: Tensor, hermitian: bool) -> Array:
    if not hermitian:
        return singular_values(name, x)
    array = exact(name, squares(name, x))
    finite(name, array)
    with answering(name):
        return np.abs(np.linalg.eigvalsh(array))


@matrix_row("matrix_rank")
def matrix_rank(
    A: Tensor,
    tol: float | Tensor | None = None,
    hermitian: bool = False,
    *,
    atol: float | Tensor | None = None,
    rtol: float | Tensor | None = None,
) -> Tensor:
    """How many singular values exceed the larger of ``atol`` and ``rtol`` times the largest one."""
    name = "linalg.matrix_rank"
    x = matrices(name, A)
    values = _magnitudes(name, x, bool(hermitian))
    if tol is not None:
        atol, rtol = tol, 0.0
    if not values.shape[-1]:
        return whole(np.zeros(values.shape[:-1]), x)
    bound = _tolerances(name, x, values.max(-1, keepdims=True), atol, rtol)
    return whole((values > bound).sum(-1), x)


@matrix_row("pseudo_inverse", methods=("pinverse",))
def pinv(
    A: Tensor,
    rcond: float | Tensor | None = None,
    hermitian: bool = False,
    *,
    atol: float | Tensor | None = None,
    rtol: float | Tensor | None = None,
) -> Tensor:
    """The pseudo-inverses of matrices. Singular values count as 0 by the rule of ``matrix_rank``."""
    name = "linalg.pinv"
    x = matrices(name, A)
    if hermitian:
        squares(name, x)
    if 0 in x.shape:
        return rounded(np.zeros((*x.shape[:-2], x.shape[-1], x.shape[-2])), x)
    array = exact(name, x)
    if hermitian:
        array = np.tril(array) + turned(np.tril(array, -1))
    finite(name, array)
    with answering(name):
        u, values, vh = np.linalg.svd(array, full_matrices=False)
        relative = rcond if rtol is None else rtol
        kept = values > _tolerances(name, x, values.max(-1, keepdims=True), atol, relative)
        inverse = np.where(kept, 1 / np.where(kept, values, 1.0), 0.0)
        return rounded(turned(vh) @ (inverse[..., None] * turned(u)), x)


@matrix_row("condition")
def cond(A: Tensor, p: int | float | str | None = None) -> Tensor:
    """``norm(A, p) * norm(inv(A), p)``; by default the largest singular value over the smallest."""
    name = "linalg.cond"
    x = matrices(name, A)
    p = None if p is None else norm_order(name, "p", p)
    if p is None or (p in (2, -2) and not isinstance(p, str)):
        values = singular_values(name, x)
        if not values.shape[-1]:
            raise ShapeMismatchError(name, "matrices with elements", tuple(x.shape))
        with np.errstate(all="ignore"):
            ratio = values[..., 0] / values[..., -1]
            return rounded(values[..., -1] / values[..., 0] if p == -2 else ratio, x)
    if p not in ("fro", "nuc", 1, -1, math.inf, -math.inf) or isinstance(p, bool):
        raise ArgumentError(name, "p", f"must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, not {p!r}")
    squares(name, x)
    if not x.numel():
        return rounded(np.zeros(x.shape[:-2]), x)
    array = exact(name, x)
    with answering(name):
        missing = singular(array)
        inverse = np.linalg.inv(np.where(missing[..., None, None], np.eye(x.shape[-1]), array))
    product = matrix_norm(x, p) * matrix_norm(rounded(inverse, x), p)
    return rounded(np.where(missing, np.inf, exact(name, product)), x)


@matrix_row("old_svd", methods=("svd",), place="svd")
def svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> OldSingularValueDecomposition:
    """As ``linalg.svd``, but the third result is V, not its transpose. Zeros where ``compute_uv`` is False."""
    x = matrices("svd", input, "input")
    u, values, vh = _factors("svd", x, not some or not compute_uv)
    if not compute_uv:
        u, vh = np.zeros_like(u), np.zeros_like(vh)
    return OldSingularValueDecomposition(rounded(u, x), rounded(values, x), rounded(turned(vh), x))
