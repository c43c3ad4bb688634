"""Complex tensors are marked pairs: what knows the mark calculates as PyTorch does, everything else refuses."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ggml

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")


def _twins(*shape: int, seed: int = 0) -> tuple[Any, Any]:
    pairs = torch.randn(*shape, 2, generator=torch.Generator().manual_seed(seed))
    return torch.view_as_complex(pairs), ggml.view_as_complex(ggml.from_dlpack(pairs.clone()))


def _same(found: Any, expected: Any) -> None:
    if expected.is_complex():
        assert found.is_complex()
        found, expected = ggml.view_as_real(found), torch.view_as_real(expected.resolve_conj())
    assert not found.is_complex()
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


CALLS: list[Callable[[Any, Any, Any], Any]] = [
    lambda lib, z, w: z * w,
    lambda lib, z, w: z + w,
    lambda lib, z, w: z - w,
    lambda lib, z, w: z / w,
    lambda lib, z, w: lib.mul(z, w),
    lambda lib, z, w: lib.add(z, w, alpha=2),
    lambda lib, z, w: z.sub(w),
    lambda lib, z, w: lib.div(z, w),
    lambda lib, z, w: z * 2.5,
    lambda lib, z, w: 2 * z,
    lambda lib, z, w: z * 2j,
    lambda lib, z, w: (1 + 1j) - z,
    lambda lib, z, w: 1 / z,
    lambda lib, z, w: z / (2 - 1j),
    lambda lib, z, w: z + 3,
    lambda lib, z, w: z * lib.tensor([1.0, 2.0, 3.0]),
    lambda lib, z, w: lib.tensor([1.0, 2.0, 3.0]) * z,
    lambda lib, z, w: lib.tensor([1.0, 2.0, 3.0]) - z,
    lambda lib, z, w: lib.tensor([[1.0], [2.0]]) / z,
    lambda lib, z, w: z / lib.tensor([1.0, 2.0, 4.0]),
    lambda lib, z, w: -z,
    lambda lib, z, w: +z,
    lambda lib, z, w: abs(z),
    lambda lib, z, w: z.abs(),
    lambda lib, z, w: lib.abs(z),
    lambda lib, z, w: lib.absolute(z),
    lambda lib, z, w: z.square(),
    lambda lib, z, w: z.reciprocal(),
    lambda lib, z, w: z.conj(),
    lambda lib, z, w: lib.conj(z).resolve_conj(),
    lambda lib, z, w: z * z.conj(),
    lambda lib, z, w: (z * z.conj()).real,
    lambda lib, z, w: z.real,
    lambda lib, z, w: lib.imag(z),
    lambda lib, z, w: z.imag,
    lambda lib, z, w: z.angle(),
    lambda lib, z, w: lib.polar(lib.abs(z), lib.angle(z)),
    lambda lib, z, w: lib.complex(z.real, z.imag),
    lambda lib, z, w: lib.view_as_complex(lib.view_as_real(z)),
    lambda lib, z, w: z.clone(),
    lambda lib, z, w: z.contiguous().detach().cpu(),
    lambda lib, z, w: lib.fft.fft(z),
    lambda lib, z, w: lib.fft.fft(z).abs(),
    lambda lib, z, w: lib.fft.ifft(lib.fft.fft(z) * lib.fft.fft(w)),
    lambda lib, z, w: lib.fft.irfft(lib.fft.rfft(z.real) * lib.fft.rfft(w.real), n=3),
    lambda lib, z, w: lib.fft.fftshift(z),
    lambda lib, z, w: lib.fft.ifftshift(z, dim=-1),
    lambda lib, z, w: z[0] * w[1],
    lambda lib, z, w: z[:, 1:],
    lambda lib, z, w: z[0, 2],
]


@pytest.mark.parametrize("place", range(len(CALLS)))
@pytest.mark.parametrize("compiled", [False, True])
def test_arithmetic_is_that_of_complex_numbers(place: int, compiled: bool) -> None:
    (z, ours), (w, others) = _twins(2, 3), _twins(2, 3, seed=1)
    call = CALLS[place]
    found = ggml.compile(lambda a, b: call(ggml, a, b))(ours, others) if compiled else call(ggml, ours, others)
    _same(found, call(torch, z, w))


def test_in_place() -> None:
    (z, ours), (w, others) = _twins(2, 3), _twins(2, 3, seed=1)
    ours *= others
    ours.add_(others).neg_()
    z *= w
    z.add_(w).neg_()
    _same(ours, z)


REFUSED: list[Callable[[Any], Any]] = [
    lambda z: z.sum(), lambda z: z @ z, lambda z: z.exp(), lambda z: z > 0, lambda z: z == z, lambda z: z**2,
    lambda z: z.reshape(-1), lambda z: z.T, lambda z: ggml.cat([z, z]), lambda z: ggml.stack([z, z]),
    lambda z: z.mean(-1), lambda z: z.unsqueeze(0), lambda z: ggml.nn.functional.relu(z), lambda z: z[..., 0],
    lambda z: z[0, 0, 0], lambda z: ggml.ones(2).mul(z), lambda z: ggml.where(ggml.ones(2).bool(), z, z),
    lambda z: ggml.ones(2, 3, 2).add_(z), lambda z: z.div(2, rounding_mode="floor"), lambda z: z.abs().mul_(z),
    lambda z: ggml.linalg.det(z), lambda z: z.nonzero(), lambda z: z.masked_select(z), lambda z: ggml.maximum(z, z),
]  # fmt: skip


@pytest.mark.parametrize("place", range(len(REFUSED)))
def test_what_does_not_know_the_mark_refuses_it(place: int) -> None:
    """Nothing is silently computed element by element."""
    _, z = _twins(2, 3)
    with pytest.raises(ggml.GgmlError):
        ggml.eval(REFUSED[place](z))


def test_the_refusal_says_what_to_do() -> None:
    _, z = _twins(2)
    with pytest.raises(ggml.UnsupportedOpError, match=r"sum: .*view_as_real"):
        z.sum()
    with pytest.raises(ggml.ArgumentError, match="view_as_real"):
        z[..., 0]


def test_the_mark_goes_with_the_tensor() -> None:
    _, z = _twins(2)
    for other in (copy.deepcopy(z), copy.copy(z), pickle.loads(pickle.dumps(z)), z.to("cpu"), z.float(), z.clone()):
        assert other.is_complex()
        assert ggml.view_as_real(other).tolist() == ggml.view_as_real(z).tolist()
    assert ggml.is_complex(z) and not z.is_floating_point()
    assert repr(z).endswith(", complex)")
    assert not ggml.view_as_real(z).is_complex()


def test_large_and_small_numbers_divide() -> None:
    for size in (1e-30, 1e30):
        z = ggml.complex(ggml.tensor(size), ggml.tensor(size))
        assert ggml.view_as_real(z / z).tolist() == pytest.approx([1, 0], abs=1e-6)


def test_what_is_real_is_not_taken_for_complex() -> None:
    x = ggml.ones(3, 2)
    for function in (ggml.view_as_real, ggml.imag, lambda x: x.imag):
        with pytest.raises(ggml.DTypeError, match="complex"):
            function(x)
    assert ggml.real(x) is x
    assert x.conj() is x
    with pytest.raises(ggml.ShapeMismatchError):
        ggml.view_as_complex(ggml.ones(3))
    with pytest.raises(ggml.DTypeError):
        ggml.view_as_complex(ggml.ones(3, 2, dtype=ggml.bfloat16))


def test_shifting_what_could_be_pairs_is_refused() -> None:
    """Of real numbers the last axis is shifted, too; of pairs it must not be."""
    pairs = ggml.from_dlpack(torch.randn(4, 2))
    for shift in (ggml.fft.fftshift, ggml.fft.ifftshift):
        with pytest.raises(ggml.ArgumentError, match="view_as_complex"):
            shift(pairs)
        assert shift(ggml.view_as_complex(pairs)).is_complex()
        with pytest.raises(ggml.ArgumentError, match="view_as_complex"):
            shift(pairs, dim=-1)
        assert not shift(pairs, dim=0).is_complex()


def test_spectra_of_windows_can_be_marked() -> None:
    x = torch.randn(64, generator=torch.Generator().manual_seed(0))
    window = torch.hann_window(16)
    theirs = torch.stft(x, 16, window=window, return_complex=True)
    ours = ggml.stft(ggml.from_dlpack(x), 16, window=ggml.from_dlpack(window), return_complex=True)
    _same(ours, theirs)
    _same(ours.abs(), theirs.abs())
    back = ggml.istft(ours * 1.0, 16, window=ggml.from_dlpack(window), length=64)
    np.testing.assert_allclose(back.numpy(), x.numpy(), atol=1e-5)
