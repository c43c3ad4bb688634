"""Counting elements. The host reads them; a compiled function cannot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core import dtypes
from ggml.core.devices import CPU, require_memory
from ggml.core.dtypes import FLOATING, INTEGER
from ggml.core.errors import ArgumentError, DTypeError, IndexOutOfRangeError, ShapeMismatchError
from ggml.registry.arguments import Number, integer, number, strictly_floating, tensor
from ggml.registry.host_results import read, written
from ggml.registry.results import Histogram
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor

_MAX_BINS = 1 << 31


@op(
    runs="host",
    sample="bincount",
    dtypes=INTEGER,
    differs="Weights give float32, where PyTorch answers float64 for all but float32 ones.",
)
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each integer from 0 on comes, or the sum of its ``weights``."""
    x, least = tensor("bincount", input), integer("bincount", minlength, "minlength")
    if not x.dtype.is_integer:
        raise DTypeError("bincount", "integers", x.dtype)
    if x.ndim != 1:
        raise ShapeMismatchError("bincount", "one axis", x._node.shape)
    if not 0 <= least < _MAX_BINS:
        raise ArgumentError("bincount", "minlength", f"must be neither negative nor too large: {least}")
    if weights is not None and tensor("bincount", weights, "weights")._node.shape != x._node.shape:
        raise ShapeMismatchError("bincount", f"weights of {x._node.shape}", weights._node.shape)
    places = read("bincount", x)
    if places.size and not 0 <= places.min() <= places.max() < _MAX_BINS:
        raise IndexOutOfRangeError("bincount", f"elements must lie in [0, {_MAX_BINS})")
    require_memory(CPU, 8 * (max(least, int(places.max(initial=0)) + 1)))
    if weights is None or not places.size:
        return written(np.bincount(places, minlength=least), dtypes.int64, x.device)
    counts = np.bincount(places, read("bincount", weights).astype(np.float64), least)
    return written(counts, dtypes.float32, x.device)


@op(
    runs="host",
    sample="histc",
    dtypes=FLOATING,
    differs="Elements of 16 bits are counted exactly and the counts rounded once; PyTorch stops at 256 or 2048.",
)
def histc(input: Tensor, bins: int = 100, min: Number = 0, max: Number = 0) -> Tensor:
    """How many elements lie in each of ``bins`` equal parts of [min, max]; of their own range if the two are equal."""
    x = strictly_floating("histc", input)
    num = _bins("histc", bins)
    array = read("histc", x).astype(np.float32).reshape(-1)
    low, high = float(number("histc", min, "min")), float(number("histc", max, "max"))
    if low > high:
        raise ArgumentError("histc", "max", f"{high} must not be below min {low}")
    low, high = _range("histc", array, low, high, 1.0)
    return written(_counted(array, _places(array, num, low, high), num, None), x.dtype, x.device)


def _bins(name: str, bins: Any) -> int:
    num = integer(name, bins, "bins")
    if not 0 < num < _MAX_BINS:
        raise ArgumentError(name, "bins", f"must be positive and not too large: {num}")
    require_memory(CPU, 16 * num)
    return num


def _range(name: str, array: NDArray[np.float32], low: float, high: float, margin: float) -> tuple[float, float]:
    """The range that is counted: the elements' own where none is given, widened where it is a point."""
    if low == high and array.size:
        low, high = float(array.min()), float(array.max())
    if not math.isfinite(low) or not math.isfinite(high):
        raise ArgumentError(name, "range", f"[{low}, {high}] is not finite")
    return (low - margin, high + margin) if low == high else (low, high)


def _places(array: NDArray[np.float32], num: int, low: float, high: float) -> NDArray[np.int64]:
    """The part of [low, high] that each element lies in, -1 outside. The last part holds its end."""
    inside = (array >= np.float32(low)) & (array <= np.float32(high))
    steps = (array[inside] - np.float32(low)) * np.float32(num) / np.float32(high - low)
    places = np.full(array.shape, -1, np.int64)
    places[inside] = np.minimum(steps.astype(np.int64), num - 1)
    return places


def _counted(
    array: NDArray[np.float32], places: NDArray[np.int64], num: int, weights: NDArray[Any] | None
) -> NDArray[Any]:
    inside = places >= 0
    return np.bincount(places[inside], None if weights is None else weights.reshape(-1)[inside], num)


@op(runs="host", sample="histogram", dtypes=(dtypes.float32,))
def histogram(
    input: Tensor,
    bins: int | Tensor,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Histogram:
    """The elements (or their weights) between edges: ``bins`` equal parts of ``range``, or a tensor of edges.

    ``density`` makes the area 1.
    """
    x = strictly_floating("histogram", input)
    if x.dtype is not dtypes.float32:
        raise DTypeError("histogram", "float32", x.dtype)
    weights = None if weight is None else _weights(x, weight)
    array = read("histogram", x).reshape(-1)
    edges = _given_edges(x, bins, range) if isinstance(bins, Tensor) else _equal_edges(array, bins, range)
    places = np.searchsorted(edges, array, "right") - 1
    inside = (array >= edges[0]) & (array <= edges[-1])
    places = np.where(inside, np.clip(places, 0, len(edges) - 2), -1)
    hist = _counted(array, places, len(edges) - 1, weights).astype(np.float64)
    if density:
        with np.errstate(invalid="ignore", divide="ignore"):
            hist = hist / hist.sum() / np.diff(edges)
    results = [written(one, dtypes.float32, x.device) for one in (hist, edges)]
    return Histogram(results[0], results[1])


def _weights(x: Tensor, weight: Any) -> NDArray[Any]:
    given = tensor("histogram", weight, "weight")
    if given._node.shape[: max(given.ndim, 1)] != x._node.shape and given.numel() != x.numel():
        raise ShapeMismatchError("histogram", f"a weight of {x._node.shape}", given._node.shape)
    if given.dtype is not x.dtype:
        raise DTypeError("histogram", f"a weight of {x.dtype}", given.dtype)
    return read("histogram", given)


def _given_edges(x: Tensor, bins: Tensor, range: Any) -> NDArray[Any]:
    if range is not None:
        raise ArgumentError("histogram", "range", "does not go with edges")
    if bins.ndim != 1 or bins.numel() < 2:
        raise ShapeMismatchError("histogram", "at least two edges along one axis", bins._node.shape)
    if bins.dtype is not x.dtype:
        raise DTypeError("histogram", f"edges of {x.dtype}", bins.dtype)
    return read("histogram", bins)


def _equal_edges(array: NDArray[np.float32], bins: Any, range: Any) -> NDArray[Any]:
    num = _bins("histogram", bins)
    if range is None:
        low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 1.0)
    else:
        if not isinstance(range, (tuple, list)) or len(range) != 2:
            raise ArgumentError("histogram", "range", "must be two numbers")
        low, high = (float(number("histogram", one, "range")) for one in range)
    if low > high:
        raise ArgumentError("histogram", "range", f"{high} must not be below {low}")
    if not math.isfinite(low) or not math.isfinite(high):
        raise ArgumentError("histogram", "range", f"[{low}, {high}] is not finite")
    low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
    return np.linspace(low, high, num + 1).astype(np.float32)
