"""Writing by index beyond what the table's tests draw: compiled functions, errors of the data, what stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ggml
from ggml.core.errors import IndexOutOfRangeError, TracingError

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

BAD = {
    "scatter": lambda x, i: x.scatter(0, i, 1.0),
    "scatter_add": lambda x, i: x.scatter_add(0, i, ggml.ones(2)),
    "scatter_reduce": lambda x, i: x.scatter_reduce(0, i, ggml.ones(2), "amax"),
    "index_add": lambda x, i: x.index_add(0, i, ggml.ones(2)),
    "index_copy": lambda x, i: x.index_copy(0, i, ggml.ones(2)),
    "index_fill": lambda x, i: x.index_fill(0, i, 1.0),
    "index_reduce": lambda x, i: x.index_reduce(0, i, ggml.ones(2), "prod"),
    "index_put": lambda x, i: x.index_put((i,), ggml.ones(2)),
    "put": lambda x, i: x.put(i, ggml.ones(2)),
    "take": lambda x, i: x.take(i),
    "masked_scatter_take": lambda x, i: x.masked_scatter(x.eq(0), ggml.ones(2)),
    "gather": lambda x, i: ggml.searchsorted(x, ggml.ones(2), sorter=ggml.cat((i, i[:1]))),
}


@pytest.mark.parametrize("name", list(BAD))
@pytest.mark.parametrize("place", [3, -4, 1 << 40, -(1 << 63)])
def test_places_outside_are_an_error_at_computation(name: str, place: int) -> None:
    result = BAD[name](ggml.zeros(3), ggml.tensor([0, place]))
    with pytest.raises(IndexOutOfRangeError, match=name):
        result.tolist()


def test_places_outside_are_found_before_anything_is_written() -> None:
    """In rows that several threads share, and in rows of their own."""
    for shape in [(1000,), (1000, 64), (1, 2, 5000)]:
        x = ggml.zeros(*shape)
        index = ggml.full((x.shape[-1],), 2).scatter(0, ggml.tensor([7]), shape[0])
        with pytest.raises(IndexOutOfRangeError):
            x.index_add(0, index, ggml.ones(index.shape[0], *shape[1:])).tolist()


@pytest.mark.parametrize("shape", [(20_000,), (3, 20_000), (20_000, 3), (300, 70), (2, 50, 9)])
def test_large_writes_equal_torch(shape: tuple[int, ...]) -> None:
    """The workers' parts meet: along the scattered axis, or across the columns."""
    rng = np.random.default_rng(3)
    for dim in range(len(shape)):
        x = rng.normal(size=shape).astype(np.float32)
        index = rng.integers(0, shape[dim], shape[dim] * 2)
        source = rng.integers(-3, 4, (*shape[:dim], index.size, *shape[dim + 1 :])).astype(np.float32)
        found = ggml.from_numpy(x).index_add(dim, ggml.from_numpy(index), ggml.from_numpy(source))
        expected = torch.from_numpy(x).index_add(dim, torch.from_numpy(index), torch.from_numpy(source))
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-4, atol=1e-4)
        assert ggml.from_numpy(x).tolist() == x.tolist()


@pytest.mark.parametrize("shape", [(100, 200), (7, 11, 300), (20_001,)])
def test_large_slices_are_put_back(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(4).normal(size=shape).astype(np.float32)
    for cut in [np.s_[1:], np.s_[::7], np.s_[..., ::3], np.s_[2:-1, ...], np.s_[..., -1]]:
        wanted, found = x.copy(), ggml.tensor(x)
        value = np.arange(wanted[cut].size, dtype=np.float32).reshape(wanted[cut].shape)
        wanted[cut] = value
        found[cut] = ggml.tensor(value)
        np.testing.assert_array_equal(found.numpy(), wanted)


def test_in_place_variants_change_the_handle_only() -> None:
    x = ggml.zeros(3)
    before, index = x.clone(), ggml.tensor([0, 2])
    assert x.index_fill_(0, index, 2).index_add_(0, index, ggml.ones(2)) is x
    assert x.put_(ggml.tensor([1]), ggml.tensor([9.0])).tolist() == [3, 9, 3]
    assert x.masked_fill_(x.eq(3), -1).tolist() == [-1, 9, -1]
    assert x.copy_(ggml.tensor([4])).tolist() == [4, 4, 4]
    assert x.fill_(2.5).lt_(3).tolist() == [1, 1, 1]
    assert x.zero_().tolist() == before.tolist() == [0, 0, 0]


def test_in_place_variants_may_reshape_the_handle() -> None:
    x = ggml.arange(6).reshape(2, 3)
    before = x.clone()
    assert x.t_().unsqueeze_(0).transpose_(0, 2) is x
    assert x.squeeze_(-1).tolist() == before.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert x.swapaxes_(0, 1).shape == (3, 2)


def _cache(cache: Any, position: Any, rows: Any) -> Any:
    cache[:, position] = rows
    return cache


def _mixture(x: Any, index: Any, value: Any) -> Any:
    x[1:, None, index, ::2] = value
    x[..., -1] = 7
    x[x > 6] = -2
    x[0, (x[0] < 0).any(-1)] = 3
    return x


def test_compiled_functions_write_too() -> None:
    """Each shape is recorded once, the place may differ, and the caller's tensor stays."""
    compiled = ggml.compile(_cache)
    for place in (0, 3, -1):
        cache = ggml.zeros(2, 4, 3)
        found = compiled(cache, ggml.tensor(place), ggml.ones(2, 3))
        expected = _cache(torch.zeros(2, 4, 3), torch.tensor(place), torch.ones(2, 3))
        assert found.tolist() == expected.tolist()
        assert not cache.any()
    assert compiled.num_recordings == 1
    with pytest.raises(IndexOutOfRangeError):
        compiled(ggml.zeros(2, 4, 3), ggml.tensor(4), ggml.ones(2, 3)).tolist()
    assert ggml.compile(_cache)(ggml.zeros(2, 4), ggml.tensor([1, 1]), ggml.tensor([[1.0, 2.0]])).tolist()[0][1] == 2


def test_a_mixture_of_writes_is_compiled() -> None:
    x = np.random.default_rng(5).normal(size=(3, 4, 5)).astype(np.float32)
    index, value = np.array([[0, 2], [3, 1]]), np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    found = ggml.compile(_mixture)(ggml.tensor(x), ggml.tensor(index), ggml.tensor(value))
    expected = _mixture(torch.tensor(x), torch.tensor(index), torch.tensor(value))
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_a_place_that_is_not_known_is_read_too() -> None:
    compiled = ggml.compile(lambda x, i: (x[i], x[:, i], x[i, :, [0, 1]]))
    x, place = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4), 1
    for found, expected in zip(
        compiled(ggml.tensor(x), ggml.tensor(place)), (x[1], x[:, 1], x[1][:, [0, 1]]), strict=True
    ):
        np.testing.assert_array_equal(found.numpy(), expected)


HOST: dict[str, Callable[[Any], Any]] = {
    "nonzero": lambda x: x.nonzero(),
    "argwhere": lambda x: x.argwhere(),
    "masked_select": lambda x: x.masked_select(x > 0),
    "unique": lambda x: x.unique(),
    "unique_consecutive": lambda x: x.unique_consecutive(),
    "bincount": lambda x: x.long().bincount(),
    "histc": lambda x: x.histc(3),
    "histogram": lambda x: x.histogram(3)[0],
    "getitem": lambda x: x[x > 0],
}


@pytest.mark.parametrize("name", list(HOST))
def test_what_depends_on_the_data_is_not_compiled(name: str) -> None:
    x = ggml.tensor([2.0, 0.0, 2.0])
    assert HOST[name](x).numel()
    with pytest.raises(TracingError, match=name):
        ggml.compile(HOST[name])(x)


def test_a_value_that_a_mask_does_not_fit() -> None:
    x, mask = ggml.zeros(3), ggml.tensor([True, False, True])
    for value in (ggml.ones(3), ggml.ones(2, 2)):
        with pytest.raises(ggml.ShapeMismatchError):
            x[mask] = value
    with pytest.raises(ggml.DTypeError):
        x[ggml.tensor([0])] = ggml.tensor([1])
    with pytest.raises(ggml.DTypeError):
        x[0] = [1, 2]
    with pytest.raises(ggml.ArgumentError):
        ggml.zeros(2, dtype=ggml.int32)[:] = 1 << 40
    with pytest.raises(ggml.ArgumentError):
        ggml.zeros(2, dtype=ggml.int32).masked_fill(mask[:2], 1 << 40)
    assert x.tolist() == [0, 0, 0]
