"""The windows of ``torch.signal.windows``: symmetric unless told otherwise, and named without ``_window``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ggml.core import dtypes
from ggml.core.dtypes import DType
from ggml.core.errors import ArgumentError, DTypeError
from ggml.ops.signal.windows import Array, Place, window_of
from ggml.registry.arguments import integer, number
from ggml.registry.table import Function, op
from ggml.tensors.tensor import Tensor


def _row(function: Function, differs: str = "") -> Function:
    place = "signal.windows." + function.__name__.removeprefix("signal_")
    return op(runs="host", sample="signal_window", torch=place, methods=(), differs=differs)(function)


def _made(
    name: str,
    M: Any,
    sym: Any,
    dtype: DType | None,
    device: Place,
    shape: Callable[[Array, int], Array],
    is_one: bool = True,
) -> Tensor:
    """``shape`` of the places and their last one; see ``window_of``."""
    if dtype not in (None, dtypes.float32):
        raise DTypeError(name, "float32", dtype)
    return window_of(name, M, not sym, None, device, shape, "M", is_one)


def _cosines(name: str, text: str, *weights: float) -> Callable[..., Tensor]:
    def function(M: int, *, sym: bool = True, dtype: DType | None = None, device: Place = None) -> Tensor:
        return _made(name, M, sym, dtype, device, lambda at, last: _sum(at, last, weights))

    function.__name__, function.__doc__ = f"signal_{name}", text
    return _row(function)


def _sum(at: Array, last: int, weights: Sequence[float]) -> Array:
    """A sum of cosines with signs that alternate."""
    terms = [(-1) ** turns * weight * np.cos(2 * math.pi * turns * at / last) for turns, weight in enumerate(weights)]
    total: Array = np.sum(terms, 0)
    return total


signal_hann = _cosines("hann", "One turn of a cosine, from 0 to 1 and back.", 0.5, 0.5)
signal_hamming = _cosines("hamming", "A Hann window that does not end at 0.", 0.54, 0.46)
signal_blackman = _cosines("blackman", "A sum of three cosines that ends at 0.", 0.42, 0.5, 0.08)
signal_nuttall = _cosines("nuttall", "A sum of four cosines.", 0.3635819, 0.4891775, 0.1365995, 0.0106411)


@_row
def signal_general_cosine(
    M: int, *, a: Sequence[float], sym: bool = True, dtype: DType | None = None, device: Place = None
) -> Tensor:
    """A sum of cosines with these weights, whose signs alternate."""
    if not isinstance(a, (tuple, list)) or (not a and integer("general_cosine", M, "M") > 1):
        raise ArgumentError("general_cosine", "a", "must be a sequence of at least one weight")
    weights = [float(number("general_cosine", weight, "a")) for weight in a]
    return _made("general_cosine", M, sym, dtype, device, lambda at, last: _sum(at, last, weights))


@_row
def signal_general_hamming(
    M: int, *, alpha: float = 0.54, sym: bool = True, dtype: DType | None = None, device: Place = None
) -> Tensor:
    """``alpha - (1 - alpha) * cos``."""
    share = float(number("general_hamming", alpha, "alpha"))
    return _made("general_hamming", M, sym, dtype, device, lambda at, last: _sum(at, last, (share, 1 - share)))


@_row
def signal_bartlett(M: int, *, sym: bool = True, dtype: DType | None = None, device: Place = None) -> Tensor:
    """A triangle."""
    return _made("bartlett", M, sym, dtype, device, lambda at, last: 1 - np.abs(2 * at / last - 1))


@_row
def signal_cosine(M: int, *, sym: bool = True, dtype: DType | None = None, device: Place = None) -> Tensor:
    """Half a turn of a sine, whose ends lie half a step outside."""
    return _made("cosine", M, sym, dtype, device, lambda at, last: np.sin(math.pi * (at + 0.5) / (last + 1)), False)


@_row
def signal_gaussian(
    M: int, *, std: float = 1.0, sym: bool = True, dtype: DType | None = None, device: Place = None
) -> Tensor:
    """A bell of this standard deviation, in samples."""
    width = float(number("gaussian", std, "std"))
    if not width > 0:
        raise ArgumentError("gaussian", "std", f"must be positive: {std}")
    return _made("gaussian", M, sym, dtype, device, lambda at, last: np.exp(-0.5 * ((at - last / 2) / width) ** 2))


@_row
def signal_exponential(
    M: int,
    *,
    center: float | None = None,
    tau: float = 1.0,
    sym: bool = True,
    dtype: DType | None = None,
    device: Place = None,
) -> Tensor:
    """``exp(-|n - center| / tau)``; the middle is the centre of a symmetric window."""
    decay = float(number("exponential", tau, "tau"))
    if not decay > 0:
        raise ArgumentError("exponential", "tau", f"must be positive: {tau}")
    if sym and center is not None:
        raise ArgumentError("exponential", "center", "must be None for symmetric windows")
    middle = None if center is None else float(number("exponential", center, "center"))

    def values(at: Array, last: int) -> Array:
        away: Array = np.abs(at - (last / 2 if middle is None else middle))
        return np.exp(-away / decay)

    return _made("exponential", M, sym, dtype, device, values, middle is None)


def _exact(function: Function) -> Function:
    return _row(function, "Right from a ``beta`` of 90 on, where PyTorch's Bessel functions overflow.")


@_exact
def signal_kaiser(
    M: int, *, beta: float = 12.0, sym: bool = True, dtype: DType | None = None, device: Place = None
) -> Tensor:
    """A ratio of Bessel functions; ``beta`` trades the width of the main lobe for the height of the others."""
    shape = float(number("kaiser", beta, "beta"))
    if not shape >= 0:
        raise ArgumentError("kaiser", "beta", f"must not be negative: {beta}")

    def values(at: Array, last: int) -> Array:
        ratio: Any = np.i0(shape * np.sqrt(np.maximum(1 - (2 * at / last - 1) ** 2, 0))) / np.i0(shape)
        return np.asarray(ratio, np.float64)

    return _made("kaiser", M, sym, dtype, device, values)
