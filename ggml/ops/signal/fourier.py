"""Fourier transforms along one axis and along several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ggml.ops.reduce.reductions import Dim
from ggml.ops.signal.transforms import (
    along,
    as_pairs,
    fft_row,
    inverse_real_along,
    no_axes,
    plan,
    real_along,
    real_input,
)
from ggml.tensors.tensor import Tensor


@fft_row("fft_complex")
def fft_fft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The discrete Fourier transform along ``dim``, cut or filled up with zeros to ``n``."""
    return along("fft.fft", as_pairs("fft.fft", input), n, dim, norm, True)


@fft_row("fft_complex")
def fft_ifft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of ``fft``."""
    return along("fft.ifft", as_pairs("fft.ifft", input), n, dim, norm, False)


@fft_row("fft_real")
def fft_rfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The first ``n // 2 + 1`` elements of the transform of a real input: the others are their conjugates."""
    return real_along("fft.rfft", real_input("fft.rfft", input), n, dim, norm)


@fft_row("fft_half")
def fft_irfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of ``rfft``: real, of length ``n`` (by default ``2 * (extent - 1)``)."""
    return inverse_real_along("fft.irfft", as_pairs("fft.irfft", input), n, dim, norm, False)


def _all_along(name: str, x: Tensor, s: Any, dim: Any, norm: str | None, is_forward: bool) -> Tensor:
    for at, length in plan(name, x.ndim - 1, s, dim):
        x = along(name, x, length, at, norm, is_forward)
    return x


def _several(name: str, forward: bool, default: tuple[int, ...] | None, text: str) -> Callable[..., Tensor]:
    public = f"fft.{name}"

    def function(input: Tensor, s: Dim = None, dim: Dim = default, norm: str | None = None) -> Tensor:
        return _all_along(public, as_pairs(public, input), s, dim, norm, forward)

    function.__name__, function.__doc__ = f"fft_{name}", text
    return fft_row("fft_several")(function)


fft_fft2 = _several("fft2", True, (-2, -1), "The transform along two axes.")


fft_ifft2 = _several("ifft2", False, (-2, -1), "The inverse of ``fft2``.")


fft_fftn = _several("fftn", True, None, "The transform along several axes, all by default.")


fft_ifftn = _several("ifftn", False, None, "The inverse of ``fftn``.")


def _several_real(name: str, default: tuple[int, ...] | None, text: str) -> Callable[..., Tensor]:
    public = f"fft.{name}"

    def function(input: Tensor, s: Dim = None, dim: Dim = default, norm: str | None = None) -> Tensor:
        x = real_input(public, input)
        *others, (last, length) = plan(public, x.ndim, s, dim) or no_axes(public)
        result = real_along(public, x, length, last, norm)
        for at, extent in others:
            result = along(public, result, extent, at, norm, True)
        return result

    function.__name__, function.__doc__ = f"fft_{name}", text
    return fft_row("fft_several_real")(function)


def _several_half(name: str, default: tuple[int, ...] | None, text: str) -> Callable[..., Tensor]:
    public = f"fft.{name}"

    def function(input: Tensor, s: Dim = None, dim: Dim = default, norm: str | None = None) -> Tensor:
        x = as_pairs(public, input)
        *others, (last, length) = plan(public, x.ndim - 1, s, dim) or no_axes(public)
        for at, extent in others:
            x = along(public, x, extent, at, norm, False)
        return inverse_real_along(public, x, length, last, norm, False)

    function.__name__, function.__doc__ = f"fft_{name}", text
    return fft_row("fft_several_half")(function)


fft_rfft2 = _several_real("rfft2", (-2, -1), "``rfft`` along the last of two axes, ``fft`` along the other.")


fft_rfftn = _several_real("rfftn", None, "``rfft`` along the last of several axes, ``fft`` along the others.")


fft_irfft2 = _several_half("irfft2", (-2, -1), "The inverse of ``rfft2``.")


fft_irfftn = _several_half("irfftn", None, "The inverse of ``rfftn``.")
