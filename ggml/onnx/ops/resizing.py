"""Axes brought to another extent."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core.errors import ArgumentError, UnsupportedOpError
from ggml.nn import functional as F
from ggml.onnx.call import Call
from ggml.onnx.element_types import to_tensor
from ggml.onnx.limits import need_few
from ggml.onnx.step import Step
from ggml.onnx.table import from_onnx, to_onnx
from ggml.onnx.writer import Writer
from ggml.tensors.tensor import Tensor

_MODES = {"linear": "linear", "bilinear": "linear", "trilinear": "linear", "bicubic": "cubic"}


@to_onnx("resample", knows_sizes=True)
def _resample(w: Writer, step: Step) -> str:
    at, mode, scale, align_corners, antialias = step.params
    if mode == "lanczos":
        raise UnsupportedOpError("onnx.export: interpolate", "ONNX", "mode 'lanczos'; use 'bicubic'")
    attributes: dict[str, Any] = {"axes": [at], "mode": _MODES.get(mode, "nearest")}
    if mode == "nearest":
        attributes |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    elif mode == "nearest-exact":
        attributes |= {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"}
    else:
        attributes["coordinate_transformation_mode"] = "align_corners" if align_corners else "half_pixel"
        attributes["cubic_coeff_a"] = -0.5 if antialias else -0.75
        attributes["antialias"] = int(antialias)
    if scale > 0:
        factor = w.constant(np.array([scale], np.float32))
        return w.emit("Resize", step.inputs[0], "", factor, **attributes)
    return w.emit("Resize", step.inputs[0], "", "", w.vector([step.result[at]]), **attributes)


@from_onnx("Resize", "Upsample")
def _resize(call: Call) -> Tensor:
    x = call.tensor(0)
    axes = [at % max(x.ndim, 1) for at in call.attribute("axes") or range(x.ndim)]
    mode = call.attribute("mode", "nearest")
    if call.attribute("antialias", 0) or mode not in ("nearest", "linear", "cubic"):
        raise call.refuse(f"mode {mode!r}, antialias {call.attribute('antialias', 0)}")
    if call.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise call.refuse("a policy that keeps the aspect ratio")
    wide = x.float()
    for at, (scale, out) in zip(axes, _targets(call, x, axes), strict=True):
        if scale != 1 or out != x.shape[at]:
            wide = _along(call, wide, at, scale, out, mode)
    return wide.to(x.dtype)


def _targets(call: Call, x: Tensor, axes: list[int]) -> list[tuple[float, int]]:
    """A scale and an extent for each axis."""
    extents = [x.shape[at] for at in axes]
    if call.op == "Upsample":
        scales = list(call.attribute("scales")) if call.opset < 9 else call.array(1).reshape(-1).tolist()
    else:
        place = 1 if call.opset < 11 else 2
        scales = call.array(place).reshape(-1).tolist() if call.has(place) else []
        if not scales:
            sizes = call.ints(3)
            scales = [out / max(n, 1) for out, n in zip(sizes, extents, strict=True)]
            return list(zip(scales, sizes, strict=True))
    if len(scales) != len(axes) or any(not 0 < one < math.inf for one in scales):
        raise ArgumentError(call.where, "scales", f"must be positive, one for each axis: {scales}")
    return [(one, math.floor(n * one)) for one, n in zip(scales, extents, strict=True)]


def _along(call: Call, x: Tensor, at: int, scale: float, out: int, mode: str) -> Tensor:
    """A weighted sum of a few neighbours for each element."""
    need_few(call.where, (4, out))
    size = x.shape[at]
    if size == 0 or out == 0:
        raise ArgumentError(call.where, "axes", f"must have elements: axis {at} has {size}, and is to have {out}")
    how = call.attribute("coordinate_transformation_mode", "half_pixel" if call.opset >= 11 else "asymmetric")
    source = _sources(call, how, size, out, scale)
    if mode == "nearest":
        return x.index_select(at, to_tensor(_nearest(call, source, size), call.device))
    first = np.floor(source).astype(np.int64)
    share = source - first
    if mode == "linear":
        places, weights = np.stack([first, first + 1]), np.stack([1 - share, share])
    else:
        taps = np.arange(-1, 3)[:, None]
        places, weights = first + taps, _cubic(np.abs(taps - share), call.attribute("cubic_coeff_a", -0.75))
    if call.attribute("exclude_outside", 0):
        weights = np.where((places >= 0) & (places < size), weights, 0.0)
        weights /= weights.sum(0)
    total: Tensor | None = None
    shape = [out if axis == at else 1 for axis in range(x.ndim)]
    for place, weight in zip(np.clip(places, 0, size - 1), weights, strict=True):
        factor = to_tensor(weight.astype(np.float32).reshape(shape), call.device)
        part = x.index_select(at, to_tensor(place, call.device)) * factor
        total = part if total is None else total + part
    assert total is not None
    return total


def _cubic(distance: NDArray[Any], a: float) -> NDArray[Any]:
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))


def _sources(call: Call, how: str, size: int, out: int, scale: float) -> NDArray[Any]:
    """Where each element of the result lies between those of the input."""
    at = np.arange(out, dtype=np.float64)
    if how == "asymmetric":
        return at / scale
    if how == "align_corners":
        return at * (size - 1) / (size * scale - 1) if out > 1 else at
    if how == "half_pixel" or (how == "pytorch_half_pixel" and out > 1):
        return (at + 0.5) / scale - 0.5
    if how == "pytorch_half_pixel":
        return at
    if how == "half_pixel_symmetric":
        return size / 2 * (1 - out / (scale * size)) + (at + 0.5) / scale - 0.5
    raise call.refuse(f"coordinate_transformation_mode {how!r}")


def _nearest(call: Call, source: NDArray[Any], size: int) -> NDArray[Any]:
    how = call.attribute("nearest_mode", "round_prefer_floor" if call.opset >= 11 else "floor")
    ways: dict[str, Callable[[], NDArray[Any]]] = {
        "round_prefer_floor": lambda: np.ceil(source - 0.5),
        "round_prefer_ceil": lambda: np.floor(source + 0.5),
        "floor": lambda: np.floor(source),
        "ceil": lambda: np.ceil(source),
    }
    if how not in ways:
        raise call.refuse(f"nearest_mode {how!r}")
    return np.asarray(np.clip(ways[how](), 0, size - 1).astype(np.int64))


@from_onnx("DepthToSpace", "SpaceToDepth")
def _blocks(call: Call) -> Tensor:
    x, size = call.tensor(0), call.attribute("blocksize")
    batch, channels, height, width = x.shape
    if call.op == "SpaceToDepth":
        cut = x.reshape(batch, channels, height // size, size, width // size, size)
        order = (0, 1, 3, 5, 2, 4) if call.attribute("mode", "DCR") == "CRD" else (0, 3, 5, 1, 2, 4)
        return cut.permute(order).reshape(batch, -1, height // size, width // size)
    if call.attribute("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, size)
    cut = x.reshape(batch, size, size, channels // (size * size), height, width)
    return cut.permute(0, 3, 4, 1, 5, 2).reshape(batch, -1, height * size, width * size)
