"""Fourier transforms of every kind of length, and the way back."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import torch

import ggml
from ggml.lowering import fourier

# Products, splits into two and three, primes that are products, primes that are convolutions.
LENGTHS = (1, 2, 61, 64, 65, 128, 360, 509, 521, 1018, 4096, 4099, 4800, 8192, 44100, 65536, 70001)


def _distance(found: ggml.Tensor, expected: torch.Tensor) -> float:
    """Of the norm of what is expected."""
    wanted = torch.view_as_real(expected).numpy() if expected.is_complex() else expected.numpy()
    return float(np.linalg.norm(found.numpy() - wanted) / max(np.linalg.norm(wanted), 1e-30))


@pytest.mark.parametrize("n", LENGTHS)
def test_any_length(n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    x = torch.randn(2, n, 2, generator=generator)
    pairs, exact = ggml.from_dlpack(x), torch.view_as_complex(x).to(torch.complex128)
    assert _distance(ggml.fft.fft(pairs), torch.fft.fft(exact)) < 1e-6
    assert _distance(ggml.fft.ifft(pairs), torch.fft.ifft(exact)) < 1e-6
    real = x[..., 0].contiguous()
    half = ggml.fft.rfft(ggml.from_dlpack(real))
    assert _distance(half, torch.fft.rfft(real.double())) < 1e-6
    assert _distance(ggml.fft.irfft(half, n=n), real) < 1e-6


def test_constants_stay_small() -> None:
    """The matrices of a transform have together no more elements than a few rows."""
    for n in (4096, 65536, 44100):
        parts = []
        while n > 1:
            first = fourier.factor(n)
            parts.append(first)
            n //= first
        assert max(parts) <= 64


def test_transforms_are_compiled() -> None:
    x = ggml.randn(3, 200)
    there_and_back = ggml.compile(lambda x: ggml.fft.irfft(ggml.fft.rfft(x), n=200))
    np.testing.assert_allclose(there_and_back(x).numpy(), x.numpy(), atol=1e-6)


def test_short_time_transform_of_a_long_signal() -> None:
    x, window = torch.randn(2, 16000), torch.hann_window(400)
    spectrum = torch.stft(x, 400, 160, window=window, return_complex=True)
    found = ggml.stft(ggml.from_dlpack(x), 400, 160, window=ggml.hann_window(400))
    assert _distance(found, spectrum) < 1e-6
    back = ggml.istft(found, 400, 160, window=ggml.hann_window(400), length=16000)
    assert _distance(back, x) < 1e-6


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
        ggml.stft(ggml.zeros(30), 8, return_complex=True)
