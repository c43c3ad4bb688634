"""Where pixels are: sizes, parts, borders, mirrors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core import dtypes
from ggml.core.errors import ArgumentError
from ggml.data.datasets.pillow import pillow
from ggml.ops.create.factories import put
from ggml.ops.spatial.resampling import interpolate
from ggml.vision.transforms.functional.image import (
    PILLOW_MODES,
    InterpolationMode,
    get_dimensions,
    is_pil,
    like,
    pair,
    pixels,
)


def hflip(img: Any) -> Any:
    """Left and right exchanged."""
    return img.transpose(0) if is_pil(img) else like(img, pixels("hflip", img)[..., ::-1])


def vflip(img: Any) -> Any:
    """Top and bottom exchanged."""
    return img.transpose(1) if is_pil(img) else like(img, pixels("vflip", img)[..., ::-1, :])


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """The part from (top, left) on. What lies outside of the image is 0."""
    if is_pil(img):
        return img.crop((left, top, left + width, top + height))
    array = pixels("crop", img)
    made = np.zeros((*array.shape[:-2], height, width), array.dtype)
    rows, columns = (
        (max(begin, 0), min(begin + extent, limit))
        for begin, extent, limit in ((top, height, array.shape[-2]), (left, width, array.shape[-1]))
    )
    if rows[0] < rows[1] and columns[0] < columns[1]:
        inside = made[..., rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left]
        inside[...] = array[..., rows[0] : rows[1], columns[0] : columns[1]]
    return like(img, made)


def center_crop(img: Any, output_size: int | Sequence[int]) -> Any:
    """The middle, of this height and width. An image that is too small gets a border of zeros."""
    wanted_height, wanted_width = pair("center_crop", output_size)
    _, height, width = get_dimensions(img)
    more = [max(wanted_width - width, 0), max(wanted_height - height, 0)]
    if any(more):
        img = pad(img, [more[0] // 2, more[1] // 2, (more[0] + 1) // 2, (more[1] + 1) // 2])
        _, height, width = get_dimensions(img)
    top, left = round((height - wanted_height) / 2), round((width - wanted_width) / 2)
    return crop(img, top, left, wanted_height, wanted_width)


def pad(img: Any, padding: int | Sequence[int], fill: Any = 0, padding_mode: str = "constant") -> Any:
    """A border: one width for all, two for left and right and for top and bottom, or left, top, right, bottom.

    It has the value of ``fill``, or shows the image again: ``edge``, ``reflect`` or ``symmetric``.
    """
    left, top, right, bottom = _widths(padding)
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ArgumentError("pad", "padding_mode", f"must be constant, edge, reflect or symmetric: {padding_mode!r}")
    mode: Any = padding_mode  # one of the texts that numpy's annotations list
    if is_pil(img):
        if padding_mode == "constant":
            return _expanded(img, (left, top, right, bottom), fill)
        array = np.asarray(img)
        sides = [(top, bottom), (left, right), (0, 0)][: array.ndim]
        return pillow("pad").fromarray(np.pad(array, sides, mode))
    array = pixels("pad", img)
    sides = [(0, 0)] * (array.ndim - 2) + [(top, bottom), (left, right)]
    options = {"constant_values": fill} if padding_mode == "constant" else {}
    return like(img, np.pad(array, sides, mode, **options))


def _widths(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    given = [padding] if isinstance(padding, int) else list(padding)
    if len(given) not in (1, 2, 4) or any(not isinstance(one, int) or one < 0 for one in given):
        raise ArgumentError("pad", "padding", f"must be 1, 2 or 4 integers that are not negative: {padding!r}")
    left, top, right, bottom = given * (4 // len(given))
    return left, top, right, bottom


def _expanded(img: Any, widths: tuple[int, int, int, int], fill: Any) -> Any:
    """With a border of one color; an image with a palette keeps it."""
    from PIL import ImageOps

    bands = len(img.getbands())
    color = fill if isinstance(fill, (tuple, list)) else (fill,) * bands
    if len(color) == 1:
        color = (*color,) * bands
    if len(color) != bands:
        raise ArgumentError("pad", "fill", f"has {len(color)} values for {bands} channels")
    exact = tuple(color) if img.mode == "F" else tuple(int(one) for one in color)
    made = ImageOps.expand(img, widths, exact if bands > 1 else exact[0])
    if img.mode == "P":
        made.putpalette(img.getpalette())
    return made


def output_size(height: int, width: int, size: int | Sequence[int], max_size: int | None) -> tuple[int, int]:
    """Height and width after resizing: as given, or in proportion where ``size`` is that of the shorter edge."""
    wanted = pair("resize", size)
    if not isinstance(size, int) and len(size) == 2:
        if max_size is not None:
            raise ArgumentError("resize", "max_size", "stands beside one size, that of the shorter edge")
        return wanted
    short, long = sorted((height, width))
    new_short, new_long = wanted[0], int(wanted[0] * long / short)
    if max_size is not None:
        if max_size <= wanted[0]:
            raise ArgumentError("resize", "max_size", f"must be greater than the size {wanted[0]}: {max_size}")
        if new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    return (new_long, new_short) if width <= height else (new_short, new_long)


def resize(
    img: Any,
    size: int | Sequence[int],
    interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """Another height and width: those of ``size``, or with one number the shorter edge and the other in proportion.

    Arrays and tensors are computed as PyTorch's ``interpolate`` does, with ``antialias`` where it shrinks; integers are
    rounded. Pillow has its own arithmetic, and always smooths.
    """
    mode = _mode(interpolation)
    _, height, width = get_dimensions(img)
    wanted = output_size(height, width, size, max_size)
    if wanted == (height, width):
        return img
    if is_pil(img):
        return img.resize(wanted[::-1], PILLOW_MODES[mode])
    smooth = mode in (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC)
    if not smooth and mode not in (InterpolationMode.NEAREST, InterpolationMode.NEAREST_EXACT):
        raise ArgumentError("resize", "interpolation", f"{mode.value} is for images of Pillow's only")
    return like(img, _resampled(pixels("resize", img), wanted, mode.value, smooth and bool(antialias)))


def _mode(interpolation: Any) -> InterpolationMode:
    if isinstance(interpolation, InterpolationMode):
        return interpolation
    for mode, number in PILLOW_MODES.items():
        if isinstance(interpolation, int) and int(interpolation) == number:
            return mode
    raise ArgumentError(
        "resize", "interpolation", f"must be an InterpolationMode or a number of Pillow's: {interpolation!r}"
    )


def _resampled(array: NDArray[Any], wanted: tuple[int, int], mode: str, antialias: bool) -> NDArray[Any]:
    flat = put(array.reshape(1, -1, *array.shape[-2:]), dtypes.float32, None)
    corners = None if mode.startswith("nearest") else False
    made = interpolate(flat, wanted, mode=mode, align_corners=corners, antialias=antialias).numpy()
    if array.dtype.kind in "iu":
        limits = np.iinfo(array.dtype)
        made = np.clip(np.rint(made), limits.min, limits.max)
    return made.reshape(*array.shape[:-2], *wanted).astype(array.dtype)
