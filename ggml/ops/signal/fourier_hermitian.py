"""Fourier transforms of symmetric signals, whose spectra are real, and back."""

from __future__ import annotations

from collections.abc import Callable

from ggml.ops.reduce.reductions import Dim
from ggml.ops.signal.transforms import (
    along,
    as_pairs,
    conjugated,
    fft_row,
    inverse_real_along,
    no_axes,
    plan,
    real_along,
    real_input,
)  # fmt: skip
from ggml.registry.arguments import choice
from ggml.tensors.tensor import Tensor

# A transform of the other direction is scaled the other way.
_SWAPPED = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


def _swapped(name: str, norm: str | None) -> str:
    return _SWAPPED[choice(name, "norm", "backward" if norm is None else norm, _SWAPPED)]


@fft_row("fft_half")
def fft_hfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The transform of a symmetric signal, of which the first half is given: real."""
    x = as_pairs("fft.hfft", input)
    return inverse_real_along("fft.hfft", conjugated(x), n, dim, norm, True)


@fft_row("fft_real")
def fft_ihfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of ``hfft``."""
    x = real_input("fft.ihfft", input)
    swapped = _swapped("fft.ihfft", norm)
    return conjugated(real_along("fft.ihfft", x, n, dim, swapped))


def _several_hermitian(name: str, default: tuple[int, ...] | None, text: str) -> Callable[..., Tensor]:
    public = f"fft.{name}"

    def function(input: Tensor, s: Dim = None, dim: Dim = default, norm: str | None = None) -> Tensor:
        x = as_pairs(public, input)
        *others, (last, length) = plan(public, x.ndim - 1, s, dim) or no_axes(public)
        for at, extent in others:
            x = along(public, x, extent, at, norm, True)
        return inverse_real_along(public, conjugated(x), length, last, norm, True)

    function.__name__, function.__doc__ = f"fft_{name}", text
    return fft_row("fft_several_half")(function)


def _several_inverse_hermitian(name: str, default: tuple[int, ...] | None, text: str) -> Callable[..., Tensor]:
    public = f"fft.{name}"

    def function(input: Tensor, s: Dim = None, dim: Dim = default, norm: str | None = None) -> Tensor:
        x = real_input(public, input)
        *others, (last, length) = plan(public, x.ndim, s, dim) or no_axes(public)
        swapped = _swapped(public, norm)
        result = conjugated(real_along(public, x, length, last, swapped))
        for at, extent in others:
            result = along(public, result, extent, at, norm, False)
        return result

    function.__name__, function.__doc__ = f"fft_{name}", text
    return fft_row("fft_several_real")(function)


fft_hfft2 = _several_hermitian("hfft2", (-2, -1), "``hfft`` along the last of two axes, ``fft`` along the other.")
fft_hfftn = _several_hermitian("hfftn", None, "``hfft`` along the last of several axes, ``fft`` along the others.")
fft_ihfft2 = _several_inverse_hermitian("ihfft2", (-2, -1), "The inverse of ``hfft2``.")
fft_ihfftn = _several_inverse_hermitian("ihfftn", None, "The inverse of ``hfftn``.")
