"""Fourier transforms of every kind of length, and the way back."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import torch

import ggml
from ggml.graph.builder import Builder
from ggml.graph.program import bits
from worker_native import Graph

# Powers of one factor and of several, primes with butterflies, primes and their multiples that are convolutions.
LENGTHS = (1, 2, 3, 7, 8, 61, 64, 65, 67, 128, 134, 243, 343, 360, 521, 625, 1018, 4096, 4099, 4800, 3721, 8192,
           44100, 65536, 70001, 100003)  # fmt: skip


def _distance(found: ggml.Tensor, expected: torch.Tensor) -> float:
    """Of the norm of what is expected."""
    wanted = torch.view_as_real(expected).numpy() if expected.is_complex() else expected.numpy()
    return float(np.linalg.norm(found.numpy() - wanted) / max(np.linalg.norm(wanted), 1e-30))


@pytest.mark.parametrize("n", LENGTHS)
def test_any_length(n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    x = torch.randn(2, n, 2, generator=generator)
    pairs, exact = ggml.from_dlpack(x), torch.view_as_complex(x).to(torch.complex128)
    assert _distance(ggml.fft.fft(pairs), torch.fft.fft(exact)) < 4e-7
    assert _distance(ggml.fft.ifft(pairs), torch.fft.ifft(exact)) < 4e-7
    real = x[..., 0].contiguous()
    half = ggml.fft.rfft(ggml.from_dlpack(real))
    assert _distance(half, torch.fft.rfft(real.double())) < 4e-7
    assert _distance(ggml.fft.irfft(half, n=n), real) < 4e-7


def test_every_short_length_of_any_number_of_rows() -> None:
    """Rows are transformed 16, 8, 4 and 1 at a time: 29 is all of them."""
    generator = torch.Generator().manual_seed(0)
    for n in range(1, 131):
        for rows in (1, 29):
            x = torch.randn(rows, n, 2, generator=generator)
            pairs, real = ggml.from_dlpack(x), ggml.from_dlpack(x[..., 0].contiguous())
            exact = torch.view_as_complex(x).to(torch.complex128)
            assert _distance(ggml.fft.fft(pairs), torch.fft.fft(exact)) < 4e-7
            half = ggml.fft.rfft(real)
            assert _distance(half, torch.fft.rfft(exact.real)) < 4e-7
            assert _distance(ggml.fft.irfft(half, n=n), exact.real) < 4e-7


@pytest.mark.parametrize("n", (60, 67, 256, 331))
def test_rows_do_not_touch_each_other(n: int) -> None:
    """Neither their numbers nor a NaN: each is what it is alone, but for the order of the sums."""
    x = torch.randn(21, n)
    x[3] = float("nan")
    x[20, 0] = float("inf")
    found = ggml.fft.rfft(ggml.from_dlpack(x)).numpy()
    expected = torch.view_as_real(torch.fft.rfft(x.double())).numpy()
    sound = [row for row in range(21) if row not in (3, 20)]
    assert np.isnan(found[3]).all()
    assert not np.isfinite(found[20]).all(axis=(0, 1))
    np.testing.assert_allclose(found[sound], expected[sound], atol=1e-4)


@pytest.mark.parametrize("order", ((0, 1, 2), (2, 0, 1), (1, 0, 2)))
def test_any_axis_of_any_order(order: tuple[int, int, int]) -> None:
    """Rows are read and written where they lie, however many elements lie between their neighbours."""
    x = torch.randn(5, 18, 7, 2).permute(*order, 3)
    pairs, exact = ggml.from_dlpack(x.contiguous().clone()), torch.view_as_complex(x.contiguous())
    moved = ggml.from_dlpack(x.permute(*np.argsort(order).tolist(), 3).contiguous()).permute(*order, 3)
    for given in (pairs, moved):
        for dim in range(3):
            n = exact.shape[dim] + 1
            assert _distance(ggml.fft.fft(given, dim=dim), torch.fft.fft(exact, dim=dim)) < 4e-7
            assert _distance(ggml.fft.ifft(given, n, dim=dim), torch.fft.ifft(exact, n, dim=dim)) < 4e-7
            half = torch.fft.rfft(exact.real, dim=dim)
            assert _distance(ggml.fft.rfft(given[..., 0], dim=dim), half) < 4e-7
            ours = ggml.from_dlpack(torch.view_as_real(half).contiguous())
            back = torch.fft.irfft(half, exact.shape[dim], dim=dim)
            assert _distance(ggml.fft.irfft(ours, exact.shape[dim], dim=dim), back) < 4e-7


def test_threads_make_no_difference() -> None:
    before = ggml.get_num_threads()
    x = ggml.randn(9, 360)
    try:
        found = []
        for threads in (1, 2, 3, 16):
            ggml.set_num_threads(threads)
            found.append(ggml.fft.irfft(ggml.fft.rfft(x * 1)).numpy())
    finally:
        ggml.set_num_threads(before)
    for other in found:
        np.testing.assert_allclose(other, x.numpy(), atol=2e-6)


def test_many_lengths_one_after_another() -> None:
    """More than are kept, and each of them once more."""
    for n in [*range(200, 290), *range(200, 290)]:
        x = np.cos(np.arange(n, dtype=np.float32))
        np.testing.assert_allclose(ggml.fft.irfft(ggml.fft.rfft(ggml.from_numpy(x)), n=n).numpy(), x, atol=1e-5)


def test_no_rows() -> None:
    """PyTorch's own library refuses some of these."""
    pairs = ggml.zeros(0, 5, 2)
    assert ggml.fft.rfft(ggml.zeros(0, 5)).shape == (0, 3, 2)
    assert ggml.fft.fft(pairs).shape == ggml.fft.ifft(pairs).shape == (0, 5, 2)
    assert ggml.fft.irfft(pairs).shape == ggml.fft.hfft(pairs).shape == (0, 8)
    assert ggml.fft.irfft(pairs, n=5).shape == (0, 5)
    assert ggml.fft.irfft(ggml.zeros(2, 0, 2), n=3).tolist() == [[0.0] * 3] * 2


F32, I64 = 0, 27
ONE = bits(1.0)

STEPS: list[tuple[tuple[int, ...], tuple[int, ...], list[int], int]] = [
    ((3, 8, 2), (3, 8, 2), [0, 8, 1, ONE, 1, 1], F32),
    ((3, 8), (3, 5, 2), [1, 8, 0, ONE, 1, 1], F32),
    ((3, 5, 2), (3, 8), [2, 8, 1, ONE, 1, 1], F32),
    ((4, 8, 2), (4, 8, 2), [0, 8, 0, ONE, 4, 2], F32),
    ((3, 5, 2), (3, 9), [2, 9, 1, ONE, 1, 1], F32),
]

REFUSED = [
    *[((3, 8, 2), (3, 8, 2), params, F32)
      for params in ([0, 7, 0, ONE, 1, 1], [3, 8, 0, ONE, 1, 1], [0, 8, 2, ONE, 1, 1], [0, 0, 0, ONE, 1, 1],
                     [0, 1 << 60, 0, ONE, 1, 1],
                     [1, 8, 0, ONE, 1, 1], [2, 8, 1, ONE, 1, 1], [-1, 8, 0, ONE, 1, 1])],
    ((4, 8, 2), (4, 8, 2), [0, 8, 0, ONE, 3, 1], F32),
    ((4, 8, 2), (4, 8, 2), [0, 8, 0, ONE, 1, 0], F32),
    ((4, 8, 2), (4, 8, 2), [0, 8, 0, ONE, 1, 1 << 60], F32),
    ((3, 8, 2), (2, 8, 2), [0, 8, 0, ONE, 1, 1], F32),
    ((3, 8, 2), (3, 8, 2), [0, 8, 0, ONE, 1, 1], I64),
    ((3, 8), (3, 5, 2), [1, 8, 1, ONE, 1, 1], F32),
    ((3, 8), (3, 4, 2), [1, 8, 0, ONE, 1, 1], F32),
    ((3, 8), (4, 5, 2), [1, 8, 0, ONE, 1, 1], F32),
    ((3, 5, 2), (3, 10), [2, 10, 1, ONE, 1, 1], F32),
    ((3, 5, 2), (2, 8), [2, 8, 1, ONE, 1, 1], F32),
    ((3, 5, 2), (3, 8), [2, 8, 0, ONE, 1, 1], F32),
]  # fmt: skip


def _build(source: tuple[int, ...], shape: tuple[int, ...], params: list[int], kind: int) -> None:
    builder = Builder(ggml.devices()[0])
    step = builder.program.input(source, kind).step
    result = builder.emit("fourier", (step,), kind, shape, params)
    Graph(builder.device.native, *builder.program.steps(), np.array([result.step], np.int64))


@pytest.mark.parametrize("step", STEPS)
def test_native_steps_are_built(step: tuple[tuple[int, ...], tuple[int, ...], list[int], int]) -> None:
    _build(*step)


@pytest.mark.parametrize("step", REFUSED)
def test_native_steps_are_refused(step: tuple[tuple[int, ...], tuple[int, ...], list[int], int]) -> None:
    with pytest.raises(ValueError, match="fourier"):
        _build(*step)


def test_transforms_are_compiled() -> None:
    x = ggml.randn(3, 200)
    there_and_back = ggml.compile(lambda x: ggml.fft.irfft(ggml.fft.rfft(x), n=200))
    np.testing.assert_allclose(there_and_back(x).numpy(), x.numpy(), atol=1e-6)


def test_short_time_transform_of_a_long_signal() -> None:
    x, window = torch.randn(2, 16000), torch.hann_window(400)
    spectrum = torch.stft(x, 400, 160, window=window, return_complex=True)
    found = ggml.stft(ggml.from_dlpack(x), 400, 160, window=ggml.hann_window(400))
    assert _distance(found, spectrum) < 4e-7
    back = ggml.istft(found, 400, 160, window=ggml.hann_window(400), length=16000)
    assert _distance(back, x) < 4e-7


def test_a_window_that_leaves_samples_out() -> None:
    spectrum = ggml.stft(ggml.randn(64), 8, 8, window=ggml.ones(8), center=False)
    with pytest.raises(ggml.ArgumentError):
        ggml.istft(spectrum, 8, 8, window=ggml.tensor([0.0] * 4 + [1.0] * 4), center=False)


def test_what_is_refused() -> None:
    with pytest.raises(ggml.ShapeMismatchError):
        ggml.fft.fft(ggml.zeros(3))
    with pytest.raises(ggml.ArgumentError):
        ggml.fft.rfft(ggml.zeros(3), n=0)
    with pytest.raises(ggml.UnsupportedOpError):
        ggml.istft(ggml.zeros(5, 3, 2), 8, return_complex=True)
