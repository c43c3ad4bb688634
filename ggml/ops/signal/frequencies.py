"""The frequencies of a spectrum's elements, and spectra whose frequency 0 is in the middle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ggml.core import dtypes
from ggml.core.dtypes import DType
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.ops.reduce.reductions import Dim
from ggml.ops.shape.concatenation import roll
from ggml.registry.arguments import integer, tensor
from ggml.registry.limits import on_host
from ggml.registry.table import op
from ggml.tensors.pairs import Pairs, marked, plain
from ggml.tensors.tensor import Tensor
from ggml.tensors.transfer import axis


def _from_behind(dim: Any, named: list[Any]) -> bool:
    """Whether axes are counted from the last one on."""
    return dim is None or any(isinstance(one, int) and one < 0 for one in named)


def _shifted(name: str, text: str, is_back: bool) -> Callable[..., Tensor]:
    public = f"fft.{name}"

    def function(input: Tensor, dim: Dim = None) -> Tensor:
        is_complex = type(input) is Pairs
        x = tensor(public, plain(input))
        rank = x.ndim - is_complex
        if not rank:
            raise ShapeMismatchError(public, "at least one axis", ())
        named: list[Any] = list(range(rank)) if dim is None else list(dim) if isinstance(dim, Sequence) else [dim]
        if not is_complex and x.is_floating_point() and x.ndim > 1 and x.shape[-1] == 2 and _from_behind(dim, named):
            raise ArgumentError(public, "dim", "could count pairs or not: count it from the front, or view_as_complex")
        places = [axis(public, one, rank) for one in named]
        halves = [(x.shape[at] + is_back) // 2 for at in places]
        result = roll(x, halves, places) if places else x
        return marked(result) if is_complex else result

    function.__name__, function.__doc__ = f"fft_{name}", text
    row = op(runs="composed", sample="fft_shift", torch=public, methods=(), dtypes=dtypes.PLAIN)
    return row(function)


fft_fftshift = _shifted("fftshift", "The element of frequency 0 moved to the middle.", False)


fft_ifftshift = _shifted("ifftshift", "The inverse of ``fftshift``.", True)


def _frequencies(name: str, text: str, places: Callable[[int], Any]) -> Callable[..., Tensor]:
    public = f"fft.{name}"

    def function(n: int, d: float = 1.0, *, dtype: DType | None = None, device: Any = None) -> Tensor:
        from ggml.ops.create.factories import put
        from ggml.registry.arguments import as_dtype, number, sizes

        (count,) = sizes(public, (integer(public, n, "n"),), "n")
        on_host(public, "n", count)
        kind = dtypes.float32 if dtype is None else as_dtype(public, dtype)
        if not kind.is_floating_point:
            raise DTypeError(public, "a floating dtype", kind)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.asarray(places(count), np.float64) / (float(number(public, d, "d")) * count)
        return put(values, kind, device)

    function.__name__, function.__doc__ = f"fft_{name}", text
    return op(runs="host", sample="fft_frequencies", torch=public, methods=())(function)


fft_fftfreq = _frequencies(
    "fftfreq",
    "The frequencies of the elements of ``fft``, for samples ``d`` apart.",
    lambda n: np.concatenate([np.arange((n + 1) // 2), np.arange(-(n // 2), 0)]),
)


fft_rfftfreq = _frequencies("rfftfreq", "The frequencies of the elements of ``rfft``.", lambda n: np.arange(n // 2 + 1))
