"""Kernels that work in vectors, at the lengths where their parts meet; and threads for small graphs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ggml
from ggml.graph.executable import compile_plan
from ggml.graph.plan import plan

# About a vector, a group of vectors, a block, and a row that is cut into parts.
LENGTHS = [1, 2, 4, 5, 15, 16, 17, 31, 32, 33, 63, 511, 512, 513, 545, 1023, 1024, 1500, 4099]
LONG = [1 << 18, (1 << 18) + 2, (1 << 18) + 3, 270_270]

lengths = st.sampled_from(LENGTHS)
seeds = st.integers(0, 1 << 30)


def numbers(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def close(found: ggml.Tensor, expected: np.ndarray, scale: float = 1.0) -> None:
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=2e-6 * scale)


def check_sums(x: np.ndarray, dim: int) -> None:
    t, wide, count = ggml.tensor(x), x.astype(np.float64), x.shape[dim]
    size = float(np.sqrt(count))
    close(t.sum(dim), wide.sum(dim), size)
    close(t.mean(dim), wide.mean(dim))
    close(t.norm(2, dim), np.sqrt((wide**2).sum(dim)))
    if count > 1:
        close(t.var(dim), wide.var(dim, ddof=1))


def check_choices(x: np.ndarray, dim: int) -> None:
    t = ggml.tensor(x)
    for name in ("amax", "amin"):
        assert np.array_equal(getattr(t, name)(dim).numpy(), getattr(np, name)(x, dim), equal_nan=True)
    for name in ("argmax", "argmin"):
        assert np.array_equal(getattr(t, name)(dim).numpy(), getattr(np, name)(x, dim))
    for name in ("any", "all"):
        assert np.array_equal(getattr(t, name)(dim).numpy(), getattr(np, name)(x, dim))


@settings(max_examples=60, derandomize=True)
@given(n=lengths, rows=st.integers(1, 5), seed=seeds, dim=st.sampled_from([0, 1]))
def test_reductions_of_every_length(n: int, rows: int, seed: int, dim: int) -> None:
    shape = (rows, n) if dim else (n, rows * 7)
    x = numbers(seed, *shape)
    check_sums(x, dim)
    check_choices(x, dim)


@settings(max_examples=60, derandomize=True)
@given(n=lengths, seed=seeds, data=st.data())
def test_ties_zeros_and_values_that_are_no_numbers(n: int, seed: int, data: st.DataObject) -> None:
    """The first of equals is chosen, a NaN before all, wherever in its block it lies."""
    x = np.floor(numbers(seed, 3, n) * data.draw(st.sampled_from([0.01, 1, 3])))
    for value in (np.inf, -np.inf, np.nan):
        for _ in range(data.draw(st.integers(0, 2))):
            x[data.draw(st.integers(0, 2)), data.draw(st.integers(0, n - 1))] = value
    check_choices(x, 1)
    check_choices(np.ascontiguousarray(np.tile(x.T, (1, 6))), 0)


@pytest.mark.parametrize("n", LONG)
def test_one_long_row_is_shared_out(n: int) -> None:
    x = numbers(n, n)
    wide = x.astype(np.float64)
    t = ggml.tensor(x)
    close(t.sum(), wide.sum(), 500)
    close(t.mean(), wide.mean())
    close(t.norm(), np.sqrt((wide**2).sum()))
    x[n // 3] = 9
    t = ggml.tensor(x)
    assert t.amax().item() == 9 and t.argmax().item() == n // 3 and t.any().item() and t.all().item()
    assert not (t - 9).all().item()
    whole = np.arange(n, dtype=np.int64) * 3_000_000_019
    assert ggml.tensor(whole).sum().item() == int(whole.sum())
    assert ggml.tensor(whole).amax().item() == int(whole[-1])


@pytest.mark.parametrize("shape", [(3, 40, 33), (2, 3, 5, 16), (5, 1, 64), (70, 1000)])
def test_columns_of_any_block_of_axes(shape: tuple[int, ...]) -> None:
    x = numbers(0, *shape)
    t = ggml.tensor(x)
    for first in range(len(shape)):
        for last in range(first, len(shape)):
            dims = tuple(range(first, last + 1))
            close(t.sum(dims), x.astype(np.float64).sum(dims), 10)
            close(t.mean(dims, keepdim=True), x.astype(np.float64).mean(dims, keepdims=True))
            assert np.array_equal(t.amax(dims).numpy(), x.max(dims))
    close(t.transpose(0, 1).sum(0), np.swapaxes(x, 0, 1).astype(np.float64).sum(0), 10)
    close(t[1:].sum(0), x[1:].astype(np.float64).sum(0), 10)


def test_a_mean_far_from_zero_keeps_its_variance() -> None:
    x = (numbers(3, 4, 5000) + 1000).astype(np.float32)
    np.testing.assert_allclose(ggml.tensor(x).var(1).numpy(), x.astype(np.float64).var(1, ddof=1), rtol=1e-4)


def test_exponentials_are_exact_over_their_range() -> None:
    x = np.linspace(-110, 95, 200_003, dtype=np.float32)
    with np.errstate(over="ignore"):
        expected = np.exp(x.astype(np.float64)).astype(np.float32)
    found = ggml.tensor(x).exp().numpy()
    normal, tiny = (expected > 1.2e-38) & np.isfinite(expected), expected <= 1.2e-38
    np.testing.assert_allclose(found[normal], expected[normal], rtol=3e-7)
    np.testing.assert_allclose(found[tiny], expected[tiny], rtol=0, atol=3e-45)
    assert np.array_equal(np.isinf(found), np.isinf(expected))
    np.testing.assert_allclose(ggml.tensor(x).sigmoid().numpy(), 1 / (1 + np.exp(-x.astype(np.float64))), 5e-7, 1e-37)
    special = ggml.tensor([np.nan, np.inf, -np.inf, 0.0, -0.0]).exp().numpy()
    assert np.array_equal(special, np.array([np.nan, np.inf, 0, 1, 1], np.float32), equal_nan=True)


def test_functions_made_of_exponentials_are_exact() -> None:
    x = np.concatenate([np.linspace(-12, 12, 20_011), np.geomspace(1e-30, 1, 500)]).astype(np.float32)
    t, wide = ggml.tensor(x), x.astype(np.float64)
    complement = np.array([math.erfc(-one / math.sqrt(2)) for one in wide])
    np.testing.assert_allclose(t.tanh().numpy(), np.tanh(wide), rtol=4e-7)
    np.testing.assert_allclose(t.erf().numpy(), [math.erf(one) for one in wide], rtol=5e-7)
    np.testing.assert_allclose(ggml.nn.functional.gelu(t).numpy(), wide * complement / 2, rtol=1e-5, atol=1e-30)
    special = ggml.tensor([np.nan, np.inf, -np.inf, -0.0])
    assert np.array_equal(special.tanh().numpy(), np.array([np.nan, 1, -1, 0], np.float32), equal_nan=True)
    assert np.array_equal(special.erf().numpy(), np.array([np.nan, 1, -1, 0], np.float32), equal_nan=True)
    assert np.signbit(special.tanh().numpy()[3])
    assert np.signbit(special.erf().numpy()[3])


@settings(max_examples=60, derandomize=True)
@given(
    n=lengths,
    seed=seeds,
    shift=st.sampled_from([0.0, 1e4, -1e4]),
    strange=st.sampled_from([None, np.nan, np.inf, -np.inf]),
)
def test_softmax_of_every_length(n: int, seed: int, shift: float, strange: float | None) -> None:
    x = numbers(seed, 3, n) * 5 + np.float32(shift)
    if strange is not None:
        x[1, seed % n] = strange
    with np.errstate(invalid="ignore", divide="ignore"):
        wide = x.astype(np.float64) - x.max(1, keepdims=True)
        total = np.exp(wide).sum(1, keepdims=True)
        close(ggml.tensor(x).softmax(1), np.exp(wide) / total)
        close(ggml.tensor(x).log_softmax(1), wide - np.log(total))


def threads_of(result: ggml.Tensor) -> int:
    return compile_plan(plan([result._node]), result.device).graph.num_threads


def test_small_graphs_run_on_one_thread() -> None:
    small, large = ggml.ones(8, 8), ggml.ones(1024, 1024)
    before = ggml.get_num_threads()
    try:
        ggml.set_num_threads(3)
        assert threads_of(small + 1) == 1
        chain = small
        for _ in range(300):
            chain = (chain @ small).relu()
        assert threads_of(chain) == 1
        for work in (
            large @ large,
            large.sin(),
            large.sum(),
            large.T.contiguous() + 1,
            chain.sum() + (large @ large).sum(),
        ):
            assert threads_of(work) == 3
        image = ggml.ones(1, 32, 32, 32)
        assert threads_of(ggml.nn.functional.conv2d(image, ggml.ones(32, 32, 3, 3))) == 3
        graph = compile_plan(plan([large.exp()._node]), large.device).graph
        ggml.set_num_threads(2)  # also for graphs that are there already
        assert graph.num_threads == 2
    finally:
        ggml.set_num_threads(before)
