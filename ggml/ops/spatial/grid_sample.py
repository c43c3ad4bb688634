"""Images read at places that a grid names."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np

from ggml.core import dtypes
from ggml.core.errors import ArgumentError, ShapeMismatchError
from ggml.core.node import Shape
from ggml.ops.elementwise.selection import bounded, where
from ggml.ops.index.indexing import gather
from ggml.ops.linalg.matmul import matmul
from ggml.ops.shape.cutting import select
from ggml.ops.shape.views import expand, reshape
from ggml.registry.arguments import convert, same_dtype, sizes, strictly_floating
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor, wrap
from ggml.tensors.transfer import upload

_FUNCTIONAL = "nn.functional."


@op(runs="composed", sample="affine_grid", torch=_FUNCTIONAL + "affine_grid", methods=())
def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """Places for ``grid_sample``: [N, 2, 3] and (N, C, H, W) to [N, H, W, 2]; [N, 3, 4] and (N, C, D, H, W) to
    [N, D, H, W, 3]."""
    matrix = strictly_floating("affine_grid", theta, "theta")
    wanted = sizes("affine_grid", (tuple(size),)) if isinstance(size, (tuple, list)) else ()
    rank = len(wanted) - 2
    if rank not in (2, 3) or any(extent < 1 for extent in wanted):
        raise ArgumentError("affine_grid", "size", f"must be four or five positive integers: {size}")
    if matrix._node.shape != (wanted[0], rank, rank + 1):
        raise ShapeMismatchError("affine_grid", f"a theta {(wanted[0], rank, rank + 1)}", tuple(matrix.shape))
    axes = [_evenly(extent, bool(align_corners)) for extent in wanted[2:]]
    places = np.stack([*np.meshgrid(*axes, indexing="ij")[::-1], np.ones(wanted[2:], np.float32)], -1)
    base = wrap(upload(places.reshape(1, -1, rank + 1).astype(np.float32), dtypes.float32, matrix.device))
    grid = matmul(base, convert(matrix, dtypes.float32).transpose(1, 2))
    return convert(reshape(grid, (wanted[0], *wanted[2:], rank)), matrix.dtype)


def _evenly(extent: int, align_corners: bool) -> Any:
    """Places from -1 to 1: of the outermost elements, or of their outer edges."""
    if extent == 1:
        return np.zeros(1, np.float32)
    places = np.linspace(-1, 1, extent, dtype=np.float64)
    return (places if align_corners else places * ((extent - 1) / extent)).astype(np.float32)


def _unnormalised(place: Tensor, extent: int, align_corners: bool) -> Tensor:
    """From -1 to 1 to elements."""
    if align_corners:
        return (place + 1) * (0.5 * (extent - 1))
    return ((place + 1) * extent - 1) * 0.5


def _reflected(place: Tensor, low: float, high: float) -> Tensor:
    """Folded back at both ends, as often as it takes."""
    span = high - low
    if span == 0:
        return place * 0.0
    away = (place - low).abs()
    rest = away.fmod(span)
    is_even = (away / span).floor().remainder(2.0).eq(0.0)
    return where(is_even, rest + low, high - rest)


def _bounded(place: Tensor, extent: int, padding_mode: str, align_corners: bool) -> Tensor:
    if padding_mode == "reflection":
        edges = (0.0, extent - 1.0) if align_corners else (-0.5, extent - 0.5)
        place = _reflected(place, *edges)
    if padding_mode != "zeros":
        place = _clipped(place, extent)
    return place


def _clipped(place: Tensor, extent: int) -> Tensor:
    """Inside the image; a NaN becomes its first element."""
    return bounded(where(place.ge(0.0), place, place * 0.0).nan_to_num(0.0), 0.0, extent - 1.0)


class _Image:
    """[N, C, ...] as [N, C, elements], read at whole places."""

    def __init__(self, x: Tensor, padding_mode: str, align_corners: bool) -> None:
        self.extents = x._node.shape[2:]
        self.flat = reshape(x, (*x._node.shape[:2], math.prod(self.extents)))
        self.padding_mode, self.align_corners = padding_mode, align_corners

    def at(self, places: Sequence[Tensor]) -> Tensor:
        """The elements at float ``places`` (one tensor [N, M] for each axis, outermost first), 0 outside."""
        index: Tensor | None = None
        inside: Tensor | None = None
        for place, extent in zip(places, self.extents, strict=True):
            is_in = place.ge(0.0).logical_and(place.le(extent - 1.0))
            # A place outside reads some element, whose weight is then nothing.
            whole = convert(where(is_in, place, _zero(place)), dtypes.int64)
            index = whole if index is None else index * extent + whole
            inside = is_in if inside is None else inside.logical_and(is_in)
        assert index is not None and inside is not None
        batch, channels = self.flat._node.shape[:2]
        count = index._node.shape[1]
        wide: Shape = (batch, channels, count)
        found = gather(self.flat, 2, expand(reshape(index, (batch, 1, count)), wide))
        return where(expand(reshape(inside, (batch, 1, count)), wide), found, _zero(found))


def _zero(like: Tensor) -> Tensor:
    return wrap(upload(np.zeros((), np.float32), dtypes.float32, like.device))


def _nearest(image: _Image, places: list[Tensor]) -> Tensor:
    return image.at([place.round() for place in places])


def _linear(image: _Image, places: list[Tensor]) -> Tensor:
    first = [place.floor() for place in places]
    share = [place - low for place, low in zip(places, first, strict=True)]
    total: Tensor | None = None
    for corner in product((0, 1), repeat=len(places)):
        weight: Tensor | None = None
        for is_far, far in zip(corner, share, strict=True):
            part = far if is_far else 1 - far
            weight = part if weight is None else weight * part
        assert weight is not None
        found = image.at([low + step if step else low for low, step in zip(first, corner, strict=True)])
        term = found * weight.unsqueeze(1)
        total = term if total is None else total + term
    assert total is not None
    return total


def _cubic_weights(share: Tensor) -> list[Tensor]:
    a = -0.75

    def near(x: Tensor) -> Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Tensor) -> Tensor:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(share + 1), near(share), near(1 - share), far(2 - share)]


def _cubic(image: _Image, places: list[Tensor]) -> Tensor:
    first = [place.floor() for place in places]
    weights = [_cubic_weights(place - low) for place, low in zip(places, first, strict=True)]

    def taps(axis: int) -> list[Tensor]:
        extent = image.extents[axis]
        steps = [first[axis] + float(step) for step in range(-1, 3)]
        return [_bounded(place, extent, image.padding_mode, image.align_corners) for place in steps]

    rows, columns = taps(0), taps(1)
    total: Tensor | None = None
    for row, row_weight in zip(rows, weights[0], strict=True):
        line: Tensor | None = None
        for column, weight in zip(columns, weights[1], strict=True):
            term = image.at([row, column]) * weight.unsqueeze(1)
            line = term if line is None else line + term
        assert line is not None
        part = line * row_weight.unsqueeze(1)
        total = part if total is None else total + part
    assert total is not None
    return total


_READERS: dict[str, Callable[[_Image, list[Tensor]], Tensor]] = {
    "bilinear": _linear,
    "nearest": _nearest,
    "bicubic": _cubic,
}


def _check(x: Tensor, grid: Tensor, mode: Any, padding_mode: Any) -> int:
    rank = x.ndim - 2
    if rank not in (2, 3) or grid.ndim != x.ndim or grid.shape[-1] != rank or grid.shape[0] != x.shape[0]:
        rule = "[N, C, H, W] with [N, H, W, 2], or [N, C, D, H, W] with [N, D, H, W, 3]"
        raise ShapeMismatchError("grid_sample", rule, (tuple(x.shape), tuple(grid.shape)))
    if 0 in x._node.shape[2:]:
        raise ShapeMismatchError("grid_sample", "an image with elements", tuple(x.shape))
    if mode not in _READERS or (mode == "bicubic" and rank == 3):
        raise ArgumentError("grid_sample", "mode", f"must be 'bilinear', 'nearest' or (for planes) 'bicubic': {mode!r}")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ArgumentError("grid_sample", "padding_mode", f"must be zeros, border or reflection: {padding_mode!r}")
    return rank


@op(runs="composed", sample="grid_sample", torch=_FUNCTIONAL + "grid_sample", methods=())
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Elements of [N, C, ...] at the places of ``grid`` [N, ..., 2 or 3]: x first, from -1 to 1."""
    x, where_to = strictly_floating("grid_sample", input), strictly_floating("grid_sample", grid, "grid")
    same_dtype("grid_sample", x, where_to)
    rank, is_aligned = _check(x, where_to, mode, padding_mode), bool(align_corners)
    result = (*x._node.shape[:2], *where_to._node.shape[1:-1])
    if 0 in result:
        return reshape(x.flatten()[:0], result)
    points = reshape(convert(where_to, dtypes.float32), (x.shape[0], -1, rank))
    image = _Image(convert(x, dtypes.float32), padding_mode, is_aligned)
    places = []
    for at, extent in enumerate(image.extents):
        place = _unnormalised(select(points, 2, rank - 1 - at), extent, is_aligned)
        places.append(place if mode == "bicubic" else _bounded(place, extent, padding_mode, is_aligned))
    return convert(reshape(_READERS[mode](image, places), result), x.dtype)
