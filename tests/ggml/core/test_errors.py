"""Errors carry fields, and are what a caller would catch."""

from __future__ import annotations

import pytest

import ggml


def test_shapes() -> None:
    with pytest.raises(ValueError) as caught:
        ggml.ones(4, 8) @ ggml.ones(7, 3)
    error = caught.value
    assert isinstance(error, ggml.ShapeMismatchError)
    assert error.op == "matmul"
    assert error.got == ((4, 8), (7, 3))
    with pytest.raises(ggml.ShapeMismatchError):
        ggml.ones(2) + ggml.ones(3)
    with pytest.raises(ggml.ShapeMismatchError):
        ggml.ones(4) + ggml.ones(2)  # ggml itself would tile


def test_ranks() -> None:
    x = ggml.ones(*[1] * 8)
    assert (x + 1).ndim == 8
    with pytest.raises(ggml.RankError) as caught:
        x.unsqueeze(0)
    assert (caught.value.rank, caught.value.limit) == (9, 8)


def test_dtypes_and_dims() -> None:
    with pytest.raises(TypeError):
        ggml.ones(2).bitwise_and(ggml.ones(2))
    with pytest.raises(ggml.DimensionError) as caught:
        ggml.ones(2).sum(3)
    assert (caught.value.dim, caught.value.rank) == (3, 1)
    assert isinstance(caught.value, IndexError)
    with pytest.raises(ggml.ArgumentError):
        ggml.device("cuda:99")
    with pytest.raises(ggml.DTypeError):
        ggml.ones(2).mean(dtype=ggml.int64)
    with pytest.raises(ggml.DTypeError):
        ggml.zeros(32, dtype=ggml.q8_0)
    with pytest.raises(ggml.DTypeError):
        ggml.ones(32).to(ggml.q4_k)


def test_everything_is_a_runtime_error() -> None:
    kinds = [kind for kind in vars(ggml).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) >= 12
    assert all(issubclass(kind, RuntimeError) for kind in kinds)


def test_rank_eight_permutes() -> None:
    shape = (2, 3, 1, 2, 2, 1, 3, 2)
    x = ggml.arange(144).reshape(shape)
    order = (7, 1, 5, 0, 6, 2, 4, 3)
    expected = x.numpy().transpose(order)
    assert (x.permute(order).numpy() == expected).all()
    assert ((x.permute(order) + x.permute(order)).numpy() == 2 * expected).all()
    assert (x.float().permute(order).sum((1, 6)).numpy() == expected.sum((1, 6))).all()
