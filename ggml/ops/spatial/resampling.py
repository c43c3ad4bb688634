"""Space brought to another size: each element of the result is a weighted sum of a few neighbours, axis by axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ggml.core import dtypes
from ggml.core.dtypes import F32, I64
from ggml.core.errors import ArgumentError, ShapeMismatchError
from ggml.core.node import Node, Shape
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.ops.spatial.adaptive import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from ggml.ops.spatial.axes import Extents
from ggml.registry.arguments import choice, convert, integer, number, strictly_floating
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor

_FUNCTIONAL = "nn.functional."

#: Places and weights, each [taps, out].
Taps = tuple[NDArray[Any], NDArray[Any]]

_MODES = {
    "nearest": (3, 4, 5),
    "nearest-exact": (3, 4, 5),
    "area": (3, 4, 5),
    "linear": (3,),
    "bilinear": (4,),
    "trilinear": (5,),
    "bicubic": (4,),
    "lanczos": (4,),
}

_LINEAR = ("linear", "bilinear", "trilinear")

_one = np.float32(1)


def _ratio(size: int, out: int, scale: float, align_corners: bool) -> Any:
    """Elements of the input for one of the result, in float32 as PyTorch computes it."""
    if align_corners:
        return np.float32(size - 1) / np.float32(out - 1) if out > 1 else np.float32(0)
    return np.float32(1.0 / scale) if scale > 0 else np.float32(size) / np.float32(out)


def _nearest(size: int, out: int, scale: float, is_exact: bool) -> Taps:
    at = np.arange(out, dtype=np.float32)
    places = np.floor((at + np.float32(0.5 if is_exact else 0.0)) * _ratio(size, out, scale, False)).astype(np.int64)
    if not is_exact and out in (size, 2 * size):
        places = np.arange(out) // (out // size)
    return np.minimum(places, size - 1)[None], np.ones((1, out), np.float32)


def _sources(size: int, out: int, scale: float, align_corners: bool) -> NDArray[Any]:
    """Where each element of the result lies between those of the input."""
    ratio, at = _ratio(size, out, scale, align_corners), np.arange(out, dtype=np.float32)
    source: NDArray[Any] = ratio * at if align_corners else ratio * (at + np.float32(0.5)) - np.float32(0.5)
    return source


def _linear(size: int, out: int, scale: float, align_corners: bool) -> Taps:
    if out == size:
        places = np.arange(out)
        return np.stack([places, places]), np.stack([np.ones(out, np.float32), np.zeros(out, np.float32)])
    source = np.maximum(_sources(size, out, scale, align_corners), np.float32(0))
    first = np.minimum(source.astype(np.int64), size - 1)
    share = np.clip(source - first.astype(np.float32), np.float32(0), _one)
    return np.stack([first, np.minimum(first + 1, size - 1)]), np.stack([_one - share, share])


def _cubic_filter(x: NDArray[Any], a: float) -> NDArray[Any]:
    x = np.abs(x)
    near, far = ((a + 2) * x - (a + 3)) * x * x + 1, ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _cubic(size: int, out: int, scale: float, align_corners: bool) -> Taps:
    source = _sources(size, out, scale, align_corners)
    first = np.minimum(np.floor(source).astype(np.int64), size - 1)
    share = np.clip(source - first.astype(np.float32), np.float32(0), _one).astype(np.float64)
    taps = np.arange(-1, 3)[:, None]
    return np.clip(first + taps, 0, size - 1), _cubic_filter(taps - share, -0.75).astype(np.float32)


def _lanczos_filter(x: NDArray[Any]) -> NDArray[Any]:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


_FILTERS: dict[str, tuple[float, Callable[[NDArray[Any]], NDArray[Any]]]] = {
    "bilinear": (1.0, lambda x: np.maximum(1 - np.abs(x), 0.0)),
    "bicubic": (2.0, lambda x: _cubic_filter(x, -0.5)),
    "lanczos": (3.0, _lanczos_filter),
}


def _filtered(size: int, out: int, scale: float, align_corners: bool, mode: str) -> Taps:
    """Every element that the filter covers, widened where the result is smaller than the input."""
    reach, shape = _FILTERS[mode]
    ratio = float(_ratio(size, out, scale, align_corners))
    support, squeeze = reach * max(ratio, 1.0), 1.0 / max(ratio, 1.0)
    centre = ratio * (np.arange(out) + 0.5)
    begin = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    end = np.minimum((centre + support + 0.5).astype(np.int64), size)
    taps = np.arange(max(int((end - begin).max()), 1))[:, None]
    weights = np.where(taps < end - begin, shape((taps + begin - centre + 0.5) * squeeze), 0.0)
    weights /= weights.sum(axis=0)
    return np.clip(begin + taps, 0, size - 1), weights.astype(np.float32)


class Resampling(NamedTuple):
    """How one axis is brought to another extent; see ``resample``."""

    at: int
    mode: str
    scale: float
    align_corners: bool
    antialias: bool


def _taps(size: int, out: int, how: Resampling) -> Taps:
    _, mode, scale, align_corners, antialias = how
    if antialias:
        return _filtered(size, out, scale, align_corners, mode)
    if mode in ("nearest", "nearest-exact"):
        return _nearest(size, out, scale, mode == "nearest-exact")
    return (_linear if mode in _LINEAR else _cubic)(size, out, scale, align_corners)


def _lower_resample(b: Builder, values: Sequence[Value], params: Resampling, node: Node) -> Value:
    at, shape = params.at, values[0].shape
    places, weights = _taps(shape[at], node.shape[at], params)
    flat = b.reshape(values[0], (math.prod(shape[:at]), shape[at], math.prod(shape[at + 1 :])))
    count, picked = b.constant(places.astype(np.int64), I64), b.constant(weights, F32)
    sources = [b.operand(one, one.shape) for one in (flat, count, picked)]
    result = (flat.shape[0], node.shape[at], flat.shape[2])
    return b.emit("resample", sources, F32, result).reshape_to(node.shape)


@op(runs="kernel", sample="internal", lower=_lower_resample, methods=())
def resample(
    input: Tensor, dim: int, size: int, mode: str, scale: float, align_corners: bool, antialias: bool
) -> Tensor:
    """One axis brought to ``size``. ``scale`` is PyTorch's scale factor, or 0 where the sizes decide."""
    shape = input._node.shape
    result = (*shape[:dim], size, *shape[dim + 1 :])
    return make("resample", (input,), Resampling(dim, mode, scale, align_corners, antialias), result, input._node.dtype)


def _per_axis(value: Any, argument: str, rank: int) -> list[Any]:
    listed = list(value) if isinstance(value, (tuple, list)) else [value] * rank
    if len(listed) != rank:
        raise ArgumentError("interpolate", argument, f"must be one number or {rank}, not {tuple(listed)}")
    return listed


def _target(shape: Shape, size: Any, scale_factor: Any, keeps_scale: bool, least: int) -> tuple[Shape, list[float]]:
    """The extents wanted, and the scales that the places are computed with."""
    if (size is None) == (scale_factor is None):
        raise ArgumentError("interpolate", "size and scale_factor", "must be given one without the other")
    rank = len(shape)
    if size is not None:
        wanted = tuple(integer("interpolate", one, "size") for one in _per_axis(size, "size", rank))
        scales = [0.0] * rank
    else:
        given = _per_axis(scale_factor, "scale_factor", rank)
        factors = [float(number("interpolate", one, "scale_factor")) for one in given]
        if any(not 0 < factor < math.inf for factor in factors):
            raise ArgumentError("interpolate", "scale_factor", f"must be positive: {tuple(factors)}")
        wanted = tuple(int(extent * factor) for extent, factor in zip(shape, factors, strict=True))
        scales = factors if keeps_scale else [0.0] * rank
    if any(extent < least for extent in wanted) or math.prod(wanted) >= 1 << 46:
        raise ArgumentError("interpolate", "size", f"must be positive and not too large: {wanted}")
    return wanted, scales


def _check_mode(x: Tensor, mode: Any, align_corners: bool | None, antialias: bool) -> None:
    choice("interpolate", "mode", mode, _MODES)
    if x.ndim not in _MODES[mode]:
        rule = f"{' or '.join(map(str, _MODES[mode]))} axes for mode {mode!r}"
        raise ShapeMismatchError("interpolate", rule, tuple(x.shape))
    if align_corners is not None and mode in ("nearest", "nearest-exact", "area"):
        raise ArgumentError("interpolate", "align_corners", f"is of no use with mode {mode!r}")
    if antialias and mode not in _FILTERS:
        raise ArgumentError("interpolate", "antialias", "is for bilinear, bicubic and lanczos")
    if mode == "lanczos" and not antialias:
        raise ArgumentError("interpolate", "mode", "'lanczos' wants antialias=True")
    if 0 in x._node.shape[1:]:
        raise ShapeMismatchError("interpolate", "elements along every axis but the batch", tuple(x.shape))


_AREA = {1: adaptive_avg_pool1d, 2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}


@op(runs="composed", sample="interpolate", torch=_FUNCTIONAL + "interpolate", methods=())
def interpolate(
    input: Tensor,
    size: Extents | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """[N, C, ...] with its one to three spatial axes brought to ``size``, or ``scale_factor`` times as large."""
    x = strictly_floating("interpolate", input)
    _check_mode(x, mode, align_corners, antialias)
    if recompute_scale_factor and size is not None:
        raise ArgumentError("interpolate", "recompute_scale_factor", "is of no use with size")
    keeps_scale = not recompute_scale_factor and mode != "area"
    wanted, scales = _target(x._node.shape[2:], size, scale_factor, keeps_scale, 0 if mode == "area" else 1)
    if mode == "area":
        return _AREA[len(wanted)](x, wanted)
    wide = convert(x, dtypes.float32)
    for at in range(len(wanted) - 1, -1, -1):
        is_same = wanted[at] == wide.shape[2 + at] and mode == "nearest"
        if not is_same:
            wide = resample(wide, 2 + at, wanted[at], mode, scales[at], bool(align_corners), bool(antialias))
    return convert(wide, x.dtype)


@op(runs="composed", sample="upsample", torch=_FUNCTIONAL + "upsample", methods=())
def upsample(
    input: Tensor,
    size: Extents | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """The older name of ``interpolate``."""
    return interpolate(input, size, scale_factor, mode, align_corners)
