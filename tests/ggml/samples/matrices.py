"""Decompositions and linear systems: mostly matrices that are far from singular, some that are singular."""

from __future__ import annotations

import math
from typing import Any

import torch
from hypothesis import strategies as st

from ggml.core.op import Op
from tests.ggml.arrays import Draw, broadcastable, laid_out, tensor
from tests.ggml.samples.common import Call, any_dtype, sample

_EXTENT = st.integers(0, 5)
_OUTER = st.lists(st.integers(0, 3), max_size=2).map(tuple)
_FULL_OUTER = st.lists(st.integers(1, 3), max_size=2).map(tuple)


def _square(draw: Draw, outer: tuple[int, ...] | None = None, extent: int | None = None) -> Any:
    """[..., n, n] with eigenvalues away from 0; now and then all elements are equal."""
    lead = draw(_OUTER) if outer is None else outer
    n = draw(_EXTENT) if extent is None else extent
    x = tensor(draw, (*lead, n, n), "float32", -1.0, 1.0)
    if draw(st.integers(0, 7)) == 0:
        return torch.ones_like(x)
    return laid_out(draw, x + 4 * torch.eye(n) * torch.where(torch.arange(n) % 2 == 0, 1.0, -1.0))


def _regular(draw: Draw, outer: tuple[int, ...], extent: int) -> Any:
    x = tensor(draw, (*outer, extent, extent), "float32", -1.0, 1.0)
    return x + 4 * torch.eye(extent)


def _any_matrix(draw: Draw, least: int = 0) -> Any:
    lead = draw(_OUTER)
    return tensor(draw, (*lead, draw(st.integers(least, 5)), draw(st.integers(least, 5))), "float32", -2.0, 2.0)


def _full_rank(draw: Draw) -> Any:
    """Without ties of pivots, and without pivots that are only 0 after rounding."""
    m, n = draw(st.integers(0, 5)), draw(st.integers(0, 5))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1 << 32)))
    return torch.rand((*draw(_OUTER), m, n), generator=generator) - 0.5 + 2 * torch.eye(m, n)


def _positive(draw: Draw, outer: tuple[int, ...], extent: int) -> Any:
    x = tensor(draw, (*outer, extent, extent), "float32", -1.0, 1.0)
    return x @ x.mT + torch.eye(extent)


@sample
def square_matrices(draw: Draw, row: Op) -> Call:
    if draw(st.integers(0, 9)) == 0:
        return Call([_any_matrix(draw)])
    return Call([_square(draw)])


@sample
def regular_matrices(draw: Draw, row: Op) -> Call:
    return Call([_regular(draw, draw(_OUTER), draw(_EXTENT))], {"check_errors": draw(st.booleans())})


def _system(draw: Draw, is_regular: bool) -> Call:
    outer, n, k = draw(_FULL_OUTER), draw(_EXTENT), draw(st.integers(0, 3))
    left = draw(st.booleans())
    lead = broadcastable(draw, outer)
    a = _regular(draw, lead, n) if is_regular else _square(draw, lead, n)
    shape = (*broadcastable(draw, outer), n, k) if left else (*broadcastable(draw, outer), k, n)
    if left and draw(st.integers(0, 2)) == 0:
        shape = tuple(a.shape[:-1])
    return Call([a, tensor(draw, shape)], {"left": left})


@sample
def linear_system(draw: Draw, row: Op) -> Call:
    return _system(draw, is_regular=False)


@sample
def linear_system_regular(draw: Draw, row: Op) -> Call:
    return _system(draw, is_regular=True)


@sample
def least_squares(draw: Draw, row: Op) -> Call:
    outer, m, n = draw(_FULL_OUTER), draw(st.integers(1, 6)), draw(st.integers(1, 5))
    a = tensor(draw, (*outer, m, n), "float32", -1.0, 1.0).contiguous() + 3 * torch.eye(m, n)
    b = tensor(draw, (*outer, m) if draw(st.integers(0, 2)) == 0 else (*outer, m, draw(st.integers(1, 3))))
    # PyTorch's default, gelsy, begins with a pivot order that it has not set, so its answers to wide systems differ
    # from call to call: test_matrices.py compares that one with numpy.
    return Call([a, b], {"driver": draw(st.sampled_from(["gelsd", "gelss", "gels", "other"]))})


@sample
def tensor_inverse(draw: Draw, row: Op) -> Call:
    x = _regular(draw, (), 6)
    shape, ind = draw(st.sampled_from([((6, 2, 3), 1), ((2, 3, 6), 2), ((3, 2, 2, 3), 2), ((2, 3, 5), 0), ((6, 6), 2)]))
    return Call([x.reshape(shape) if math.prod(shape) == 36 else torch.ones(shape), ind])


@sample
def tensor_system(draw: Draw, row: Op) -> Call:
    x = _regular(draw, (), 6)
    kinds = [((2, 3, 6), (2, 3), None), ((6, 2, 3), (6,), None), ((2, 6, 3), (2, 3), (1,)), ((6, 6), (5,), None)]
    shape, of, dims = draw(st.sampled_from(kinds))
    return Call([x.reshape(shape), tensor(draw, of), dims])


@sample
def symmetric_spectrum(draw: Draw, row: Op) -> Call:
    return symmetric_matrices(draw, row)


@sample
def symmetric_matrices(draw: Draw, row: Op) -> Call:
    x = _square(draw)
    return Call([x + x.mT], {"UPLO": draw(st.sampled_from(["L", "U", "u", "x"]))})


@sample
def eigenvectors(draw: Draw, row: Op) -> Call:
    return Call([_square(draw)])


@sample
def eigenvalues(draw: Draw, row: Op) -> Call:
    n = draw(_EXTENT)  # the eigenvalues of a triangle come in the order of its diagonal
    triangle = tensor(draw, (*draw(_OUTER), n, n), "float32").triu(1)
    return Call([triangle + torch.diag(torch.arange(float(n)) * 3 + 1)])


@sample
def singular_vectors(draw: Draw, row: Op) -> Call:
    return Call([_any_matrix(draw)], {"full_matrices": draw(st.booleans())})


@sample
def singular_values(draw: Draw, row: Op) -> Call:
    return Call([_any_matrix(draw)])


@sample
def old_svd(draw: Draw, row: Op) -> Call:
    return Call([_any_matrix(draw), draw(st.booleans()), draw(st.booleans())])


def _low_rank(draw: Draw) -> Any:
    m, n, k = (draw(st.integers(1, 5)) for _ in range(3))
    outer = draw(_FULL_OUTER)
    x = tensor(draw, (*outer, m, k), "float32", -1.0, 1.0) @ tensor(draw, (*outer, k, n), "float32", -1.0, 1.0)
    return torch.round(x * 8) / 8


@sample
def matrix_rank(draw: Draw, row: Op) -> Call:
    x = _low_rank(draw)
    kwargs = draw(st.sampled_from([{}, {"atol": 0.3}, {"rtol": 0.2}, {"atol": 0.1, "rtol": 0.1}, {"tol": 0.25}]))
    if draw(st.integers(0, 3)) == 0:
        return Call([x @ x.mT], {**kwargs, "hermitian": True})
    return Call([x if draw(st.booleans()) else _any_matrix(draw)], dict(kwargs))


@sample
def pseudo_inverse(draw: Draw, row: Op) -> Call:
    m, n = draw(st.integers(0, 5)), draw(st.integers(0, 5))
    x = tensor(draw, (*draw(_OUTER), m, n), "float32", -1.0, 1.0).contiguous() + 3 * torch.eye(m, n)
    kwargs = draw(st.sampled_from([{}, {"rtol": 1e-3}, {"atol": 1e-3}, {"rcond": 1e-3}]))
    if m == n and draw(st.booleans()):
        return Call([x + x.mT], {**kwargs, "hermitian": True})
    return Call([x], dict(kwargs))


@sample
def condition(draw: Draw, row: Op) -> Call:
    order = draw(st.sampled_from([None, 2, -2, 1, -1, math.inf, -math.inf, "fro", "nuc", "other"]))
    x = _any_matrix(draw, 1) if draw(st.integers(0, 3)) == 0 else _regular(draw, draw(_OUTER), draw(st.integers(1, 4)))
    if not x.numel():  # PyTorch does not look whether matrices are square where there are none
        x = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
    return Call([x, order])


@sample
def positive_matrices(draw: Draw, row: Op) -> Call:
    x = _square(draw) if draw(st.integers(0, 4)) == 0 else _positive(draw, draw(_OUTER), draw(_EXTENT))
    if row.name == "cholesky_ex":  # PyTorch leaves half a factor where there is none
        x = _positive(draw, draw(_OUTER), draw(_EXTENT))
    return Call([x], {"upper": draw(st.booleans())})


def _factor(draw: Draw, outer: tuple[int, ...], extent: int, upper: bool) -> Any:
    x = tensor(draw, (*outer, extent, extent), "float32", -0.5, 0.5) + 2 * torch.eye(extent)
    return x.triu() if upper else x.tril()


@sample
def cholesky_solve(draw: Draw, row: Op) -> Call:
    outer, n, upper = draw(_FULL_OUTER), draw(_EXTENT), draw(st.booleans())
    b = tensor(draw, (*broadcastable(draw, outer), n, draw(st.integers(0, 3))))
    return Call([b, _factor(draw, broadcastable(draw, outer), n, upper), upper])


@sample
def cholesky_factors(draw: Draw, row: Op) -> Call:
    upper = draw(st.booleans())
    return Call([_factor(draw, draw(_OUTER), draw(_EXTENT), upper), upper])


@sample
def orthogonal(draw: Draw, row: Op) -> Call:
    return Call([_full_rank(draw)], {"mode": draw(st.sampled_from(["reduced", "complete", "r", "other"]))})


@sample
def old_qr(draw: Draw, row: Op) -> Call:
    return Call([_full_rank(draw), draw(st.booleans())])


@sample
def lu(draw: Draw, row: Op) -> Call:
    kwargs: dict[str, Any] = {"get_infos": draw(st.booleans())} if row.name == "lu" else {}
    x = _full_rank(draw)
    return Call([x if draw(st.integers(0, 7)) else torch.zeros_like(x)], {**kwargs, "pivot": True})


def _factored(draw: Draw, outer: tuple[int, ...], extent: int) -> list[Any]:
    return list(torch.linalg.lu_factor(_regular(draw, outer, extent)))


@sample
def lu_solve(draw: Draw, row: Op) -> Call:
    outer, n, k, left = draw(_FULL_OUTER), draw(_EXTENT), draw(st.integers(0, 3)), draw(st.booleans())
    b = tensor(draw, (*broadcastable(draw, outer), *((n, k) if left else (k, n))))
    factors = _factored(draw, broadcastable(draw, outer), n)
    return Call([*factors, b], {"left": left, "adjoint": draw(st.booleans())})


@sample
def lu_solve_old(draw: Draw, row: Op) -> Call:
    outer, n = draw(_FULL_OUTER), draw(_EXTENT)
    return Call([tensor(draw, (*outer, n, draw(st.integers(0, 3)))), *_factored(draw, outer, n)])


@sample
def lu_unpack(draw: Draw, row: Op) -> Call:
    x = tensor(draw, (*draw(_OUTER), draw(_EXTENT), draw(_EXTENT)), "float32", -1.0, 1.0)
    factors = torch.linalg.lu_factor_ex(x)
    return Call([factors.LU, factors.pivots, draw(st.booleans()), draw(st.booleans())])


@sample
def householder(draw: Draw, row: Op) -> Call:
    outer, n = draw(_OUTER), draw(st.integers(0, 4))
    m = n + draw(st.integers(0, 3))
    return Call([tensor(draw, (*outer, m, n), "float32", -1.0, 1.0), tensor(draw, (*outer, draw(st.integers(0, n))))])


@sample
def linalg_vander(draw: Draw, row: Op) -> Call:
    x = tensor(draw, (*draw(_OUTER), draw(_EXTENT)), any_dtype(draw, row), -2, 2)
    return Call([x], {"N": draw(st.sampled_from([None, 2, 3, 5, 1]))})


@sample
def triangular_solve(draw: Draw, row: Op) -> Call:
    outer, n = draw(_FULL_OUTER), draw(st.integers(1, 5))
    b = tensor(draw, (*outer, n, draw(st.integers(1, 3))))
    return Call([b, _regular(draw, outer, n), draw(st.booleans()), draw(st.booleans()), draw(st.booleans())])
