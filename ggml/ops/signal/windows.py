"""Window functions: what the frames of a signal are multiplied with before they are transformed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core import dtypes
from ggml.core.devices import Device, find_device, unplaced
from ggml.core.dtypes import DType
from ggml.core.errors import DTypeError
from ggml.registry.arguments import as_dtype, integer, number, sizes
from ggml.registry.limits import on_host
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor, wrap
from ggml.tensors.transfer import to_storage, upload

Array = NDArray[np.float64]
Place = Device | str | None


def window_of(
    name: str,
    length: int,
    periodic: bool,
    dtype: DType | None,
    device: Place,
    shape: Callable[[Array, int], Array],
    argument: str = "window_length",
    is_one: bool = True,
) -> Tensor:
    """``shape`` of the places 0 to last; a periodic window is a longer one without its last element.

    A window of one element is 1, unless ``is_one`` is False: then it is of that shape, too.
    """
    (count,) = sizes(name, (integer(name, length, argument),), argument)
    on_host(name, argument, count)
    kind = dtypes.float32 if dtype is None else as_dtype(name, dtype)
    if not kind.is_floating_point:
        raise DTypeError(name, "a floating dtype", kind)
    places = np.arange(count, dtype=np.float64)
    last = count if periodic and count > 1 else count - 1
    values = np.ones(count) if count == 0 or (count == 1 and is_one) else shape(places, last)
    on = unplaced() if device is None else find_device(str(device))
    return wrap(upload(to_storage(values, kind), kind, on))


def _cosines(name: str, text: str, *weights: float) -> Callable[..., Tensor]:
    """A window that is a sum of cosines of 0, 1 ... turns."""

    def function(
        window_length: int, periodic: bool = True, *, dtype: DType | None = None, device: Place = None
    ) -> Tensor:
        return window_of(name, window_length, periodic, dtype, device, lambda at, last: _sum(at, last, weights))

    function.__name__, function.__doc__ = name, text
    return op(runs="host", sample="window", methods=())(function)


def _sum(at: Array, last: int, weights: tuple[float, ...]) -> Array:
    terms = [weight * np.cos(2 * math.pi * turns * at / last) for turns, weight in enumerate(weights)]
    total: Array = np.sum(terms, 0)
    return total


hann_window = _cosines("hann_window", "One turn of a cosine, from 0 to 1 and back.", 0.5, -0.5)
blackman_window = _cosines("blackman_window", "A sum of three cosines that ends at 0.", 0.42, -0.5, 0.08)


@op(runs="host", sample="window", methods=())
def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    *,
    dtype: DType | None = None,
    device: Place = None,
) -> Tensor:
    """``alpha - beta * cos``: a Hann window that does not end at 0."""
    weights = (float(number("hamming_window", alpha, "alpha")), -float(number("hamming_window", beta, "beta")))
    return window_of("hamming_window", window_length, periodic, dtype, device, lambda at, last: _sum(at, last, weights))


@op(runs="host", sample="window", methods=())
def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: DType | None = None, device: Place = None
) -> Tensor:
    """A triangle."""
    return window_of("bartlett_window", window_length, periodic, dtype, device,
                   lambda at, last: 1 - np.abs(2 * at / last - 1))  # fmt: skip


@op(runs="host", sample="window", methods=())
def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: DType | None = None, device: Place = None
) -> Tensor:
    """A ratio of Bessel functions; ``beta`` trades the width of the main lobe for the height of the others."""
    shape = float(number("kaiser_window", beta, "beta"))

    def values(at: Array, last: int) -> Array:
        ratio: Any = np.i0(shape * np.sqrt(np.maximum(1 - (2 * at / last - 1) ** 2, 0))) / np.i0(shape)
        return np.asarray(ratio, np.float64)

    return window_of("kaiser_window", window_length, periodic, dtype, device, values)
