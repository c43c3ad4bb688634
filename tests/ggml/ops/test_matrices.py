"""Decompositions and systems: what the factors multiply to, what is refused, and how results are named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ggml
from tests.ggml.compare import assert_same

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

SHAPES = ((3, 3), (2, 5), (5, 2), (2, 3, 4), (2, 1, 4, 3), (1, 1), (0, 3), (2, 0))


def _random(*shape: int) -> ggml.Tensor:
    return ggml.from_numpy(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


def _near(found: ggml.Tensor, expected: ggml.Tensor) -> None:
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_factors_multiply_to_the_matrix(shape: tuple[int, ...]) -> None:
    x = _random(*shape)
    m, n = shape[-2:]
    least = min(m, n)
    for full in (False, True):
        u, s, vh = ggml.linalg.svd(x, full_matrices=full)
        assert (u.shape[-1], vh.shape[-2]) == ((m, n) if full else (least, least))
        _near((u[..., :least] * s.unsqueeze(-2)) @ vh[..., :least, :], x)
        _near(u.mT @ u, ggml.eye(u.shape[-1]).expand((*u.mT.shape[:-1], u.shape[-1])))
    u, s, v = ggml.svd(x)
    _near((u * s.unsqueeze(-2)) @ v.mT, x)
    for mode in ("reduced", "complete"):
        q, r = ggml.linalg.qr(x, mode)
        _near(q @ r, x)
    p, low, high = ggml.linalg.lu(x)
    _near(p @ low @ high, x)


@pytest.mark.parametrize("lead", [(), (2,), (2, 3), (0,)])
def test_eigenvectors(lead: tuple[int, ...]) -> None:
    x = _random(*lead, 4, 4)
    symmetric = x + x.mT
    values, vectors = ggml.linalg.eigh(symmetric)
    _near(symmetric @ vectors, vectors * values.unsqueeze(-2))
    lower, _ = ggml.linalg.eigh(symmetric.tril())
    upper, _ = ggml.linalg.eigh(symmetric.triu(), "U")
    _near(lower, values)
    _near(upper, values)
    values, vectors = ggml.linalg.eig(x)
    assert values.is_complex() and vectors.is_complex()
    real, imag = vectors.real, vectors.imag
    scaled = vectors * ggml.view_as_complex(ggml.view_as_real(values).unsqueeze(-3))
    _near(x @ real, scaled.real)
    _near(x @ imag, scaled.imag)


def test_eigenvalues_of_a_turn() -> None:
    found = ggml.view_as_real(ggml.linalg.eigvals(ggml.tensor([[0.0, -1.0], [1.0, 0.0]])))
    assert sorted(found.tolist()) == [[0, -1], [0, 1]]


NAMED = [
    ("slogdet", ("sign", "logabsdet")),
    ("eigh", ("eigenvalues", "eigenvectors")),
    ("svd", ("U", "S", "Vh")),
    ("qr", ("Q", "R")),
    ("inv_ex", ("inverse", "info")),
    ("cholesky_ex", ("L", "info")),
    ("lu_factor", ("LU", "pivots")),
    ("lu_factor_ex", ("LU", "pivots", "info")),
    ("lu", ("P", "L", "U")),
]


@pytest.mark.parametrize(("name", "fields"), NAMED)
def test_results_are_named_as_in_torch(name: str, fields: tuple[str, ...]) -> None:
    found = getattr(ggml.linalg, name)(ggml.eye(3))
    expected = getattr(torch.linalg, name)(torch.eye(3))
    for place, field in enumerate(fields):
        assert getattr(found, field) is found[place]
        assert_same(getattr(found, field).shape, getattr(expected, field).shape)


def test_names_of_other_results() -> None:
    system = ggml.linalg.lstsq(ggml.eye(3), ggml.ones(3, 1))
    assert system._fields == ("solution", "residuals", "rank", "singular_values")
    assert ggml.linalg.solve_ex(ggml.eye(2), ggml.ones(2))._fields == ("result", "info")
    assert ggml.svd(ggml.eye(2))._fields == ("U", "S", "V")


@pytest.mark.parametrize("driver", [None, "gelsy"])
@pytest.mark.parametrize("shape", [(1, 4), (2, 5), (3, 3), (5, 2)])
def test_the_default_least_squares_is_the_smallest_one(shape: tuple[int, int], driver: str | None) -> None:
    m, n = shape
    a = _random(m, n)
    a[:, 0] = 0.0  # its rank is not full
    b = ggml.arange(2.0 * m).reshape(m, 2)
    found = ggml.linalg.lstsq(a, b, driver=driver)
    solution, _, rank, _ = np.linalg.lstsq(a.numpy(), b.numpy(), rcond=None)
    np.testing.assert_allclose(found.solution.numpy(), solution, atol=1e-4)
    assert found.rank.item() == rank
    assert found.residuals.shape == found.singular_values.shape == (0,)


SINGULAR: list[Callable[[ggml.Tensor], Any]] = [
    ggml.linalg.inv,
    ggml.inverse,
    lambda x: ggml.linalg.solve(x, ggml.ones(3)),
    lambda x: ggml.linalg.inv_ex(x, check_errors=True),
    ggml.linalg.cholesky,
    ggml.linalg.lu_factor,
    lambda x: ggml.linalg.matrix_power(x, -1),
    lambda x: ggml.linalg.tensorinv(x.reshape(3, 3), 1),
]


@pytest.mark.parametrize("call", SINGULAR)
def test_singular_matrices_raise(call: Callable[[ggml.Tensor], Any]) -> None:
    """The error is torch.linalg.LinAlgError's namesake; one bad matrix of a batch is enough."""
    with pytest.raises(ggml.linalg.LinAlgError, match=r"singular|positive"):
        call(ggml.zeros(3, 3))
    assert issubclass(ggml.LinAlgError, (ggml.GgmlError, ValueError))
    with pytest.raises(ggml.LinAlgError):
        ggml.linalg.inv(ggml.stack([ggml.eye(2), ggml.ones(2, 2)]))


def test_what_is_not_finite_is_refused_where_no_algorithm_ends() -> None:
    x = ggml.full((2, 2), float("nan"))
    for call in (ggml.linalg.eigh, ggml.linalg.svd, ggml.linalg.eig, ggml.linalg.pinv, ggml.linalg.matrix_rank):
        with pytest.raises(ggml.LinAlgError, match="finite"):
            call(x)
    assert ggml.linalg.det(x).isnan().item()


@pytest.mark.parametrize("kind", [ggml.float16, ggml.bfloat16, ggml.int64, ggml.bool])
def test_other_dtypes_are_refused(kind: Any) -> None:
    x = ggml.eye(2).to(kind)
    for name in ("det", "inv", "svd", "eigh", "qr", "cholesky", "lu_factor", "pinv"):
        with pytest.raises(ggml.DTypeError):
            getattr(ggml.linalg, name)(x)


def test_tolerances_fit_the_matrices() -> None:
    for call in (ggml.linalg.pinv, ggml.linalg.matrix_rank):
        with pytest.raises(ggml.ShapeMismatchError):
            call(ggml.ones(4, 2, 2), rtol=ggml.ones(3))
    found = ggml.linalg.matrix_rank(ggml.eye(2).expand(2, 2, 2), atol=ggml.tensor([0.5, 2.0]))
    assert found.tolist() == [2, 0]


def test_pivots_from_outside_are_checked() -> None:
    factors = ggml.linalg.lu_factor(ggml.eye(3) * 2)
    for pivots in (ggml.tensor([0, 1, 2]), ggml.tensor([1, 2, 9]), ggml.tensor([1, 2])):
        with pytest.raises(ggml.GgmlError):
            ggml.linalg.lu_solve(factors.LU, pivots.int(), ggml.ones(3, 1))
    with pytest.raises(ggml.DTypeError):
        ggml.lu_unpack(factors.LU, factors.pivots.long())


def test_the_host_has_no_values_while_a_function_is_compiled() -> None:
    with pytest.raises(ggml.TracingError):
        ggml.compile(ggml.linalg.inv)(ggml.eye(2))
    fixed = ggml.eye(2) * 2
    assert ggml.compile(lambda x: x @ ggml.linalg.inv(fixed))(ggml.ones(1, 2)).tolist() == [[0.5, 0.5]]


def test_large_exponentials_are_scaled_and_squared() -> None:
    x = torch.tensor([[[0.0, 30.0], [-30.0, 0.0]], [[1.0, 2.0], [0.0, 3.0]], [[0.0, 0.0], [0.0, 0.0]]])
    found = ggml.linalg.matrix_exp(ggml.from_dlpack(x))
    np.testing.assert_allclose(found.numpy(), torch.linalg.matrix_exp(x.double()).numpy(), rtol=1e-5, atol=1e-6)


# Names that nothing answers: they are for others, or hardly used.
LEFT_OUT = {
    "linalg": {"ldl_factor", "ldl_factor_ex", "ldl_solve"},
    "fft": set(),
    "special": {"airy_ai"},
}


@pytest.mark.parametrize("place", sorted(LEFT_OUT))
def test_namespaces_are_complete(place: str) -> None:
    theirs = getattr(torch, place)
    wanted = {name for name in dir(theirs) if callable(getattr(theirs, name)) and not name.startswith("_")} - {"Tensor"}
    wanted = {name for name in wanted if "polynomial" not in name}
    assert wanted - set(getattr(ggml, place).__all__) == LEFT_OUT[place]


def _in_place_names(target: Any) -> set[str]:
    return {name for name in dir(target) if name.endswith("_") and not name.startswith("_")}


def test_in_place_twins_are_complete() -> None:
    """As methods and as functions, for every operation that there is."""
    sparse = {"resize_as_sparse_", "sparse_resize_", "sparse_resize_and_clear_"}
    others = {
        "resize_",
        "resize_as_",
        "set_",
        "map_",
        "map2_",
        "apply_",
        "float_power_",
        "requires_grad_",
    }  # storage, Python, float64, gradients
    lacking = _in_place_names(torch.Tensor) - _in_place_names(ggml.Tensor)
    assert lacking <= sparse | others
    lacking = _in_place_names(torch) - _in_place_names(ggml)
    assert lacking <= sparse | {"resize_as_", "embedding_renorm_", "feature_dropout_", "detach_"}
    assert _in_place_names(torch.nn.functional) == _in_place_names(ggml.nn.functional)


@pytest.mark.parametrize("name", sorted(_in_place_names(ggml) & _in_place_names(torch)))
def test_functions_in_place_write_over_their_argument(name: str) -> None:
    rest = {
        "clamp_": (0.2,), "clamp_max_": (0.5,), "clamp_min_": (0.5,), "clip_": (0.2,), "xlogy_": (2.0,),
        "threshold_": (0.5, 7.0), "fill_": (3.0,), "dropout_": (0.5, False), "alpha_dropout_": (0.5, False),
        "feature_alpha_dropout_": (0.5, False), "as_strided_": ((2, 1), (2, 1)),
    }.get(name, ())  # fmt: skip
    theirs = torch.tensor([[0.25, 0.5], [0.75, 0.875]])
    if name in ("gcd_", "lcm_"):
        theirs, rest = torch.tensor([4, 6]), (torch.tensor([6, 4]),)
    if name == "ldexp_":
        rest = (torch.tensor([1, 2]),)
    if name == "addmv_":
        theirs, rest = torch.tensor([1.0, 2.0]), (torch.eye(2), torch.ones(2))
    if name == "index_put_":
        rest = ((torch.tensor([0]),), torch.tensor([9.0, 8.0]))
    ours = ggml.from_dlpack(theirs.clone())
    given = tuple(
        ggml.from_dlpack(one) if isinstance(one, torch.Tensor)
        else tuple(map(ggml.from_dlpack, one)) if isinstance(one, tuple) and isinstance(one[0], torch.Tensor)
        else one
        for one in rest
    )  # fmt: skip
    assert getattr(ggml, name)(ours, *given) is ours
    getattr(torch, name)(theirs, *rest)
    assert_same(ours, theirs, 1e-4)
