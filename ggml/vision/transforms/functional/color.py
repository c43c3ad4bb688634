"""What pixels are: brightness, contrast, saturation, hue.

Images of Pillow's are changed by Pillow; the formulas for arrays are those of torchvision's tensors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core.errors import ArgumentError
from ggml.data.datasets.pillow import pillow
from ggml.vision.transforms.functional.image import is_pil, largest, like, pixels


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """Black for 0, the image itself for 1, lighter above."""
    _check("adjust_brightness", brightness_factor)
    if is_pil(img):
        return _enhanced(img, "Brightness", brightness_factor)
    array = _colored("adjust_brightness", img)
    return like(img, _blend(array, np.zeros_like(array), brightness_factor))


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """The image's mean for 0, the image itself for 1."""
    _check("adjust_contrast", contrast_factor)
    if is_pil(img):
        return _enhanced(img, "Contrast", contrast_factor)
    array = _colored("adjust_contrast", img)
    gray = _gray(array) if array.shape[-3] == 3 else array
    mean = gray.astype(_floating(array)).mean(axis=(-3, -2, -1), keepdims=True)
    return like(img, _blend(array, mean, contrast_factor))


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """Gray for 0, the image itself for 1."""
    _check("adjust_saturation", saturation_factor)
    if is_pil(img):
        return _enhanced(img, "Color", saturation_factor)
    array = _colored("adjust_saturation", img)
    return img if array.shape[-3] == 1 else like(img, _blend(array, _gray(array), saturation_factor))


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """Colors turned on their circle, by a part of it in [-0.5, 0.5]."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ArgumentError("adjust_hue", "hue_factor", f"must be in [-0.5, 0.5], and is {hue_factor}")
    if is_pil(img):
        return _turned(img, hue_factor)
    array = _colored("adjust_hue", img)
    if array.shape[-3] == 1:
        return img
    is_integer = array.dtype.kind != "f"
    values = array.astype(np.float32) / np.float32(largest(array)) if is_integer else array
    h, s, v = _hsv(values)
    made = _rgb((h + np.float32(hue_factor)) % 1, s, v)
    if is_integer:  # torchvision gives each integer an equally large part of [0, 1]
        made = made * np.float32(largest(array) + 1 - 1e-3)
    return like(img, made.astype(array.dtype))


def _check(op: str, factor: float) -> None:
    if not factor >= 0:
        raise ArgumentError(op, "factor", f"must not be negative, and is {factor}")


def _colored(op: str, img: Any) -> NDArray[Any]:
    array = pixels(op, img)
    if array.ndim < 3 or array.shape[-3] not in (1, 3):
        raise ArgumentError(op, "img", f"must be [..., 1 or 3, H, W], and has the shape {array.shape}")
    return array


def _floating(array: NDArray[Any]) -> Any:
    return array.dtype if array.dtype.kind == "f" else np.float32


def _blend(first: NDArray[Any], second: NDArray[Any], ratio: float) -> NDArray[Any]:
    kind = _floating(first)
    mixed = first.astype(kind) * _as(kind, ratio) + second.astype(kind) * _as(kind, 1 - ratio)
    made: NDArray[Any] = mixed.clip(0, largest(first)).astype(first.dtype)
    return made


def _as(kind: Any, value: float) -> Any:
    """The number as one of an array's elements, so that it does not widen them."""
    return np.dtype(kind).type(value)


def _gray(array: NDArray[Any]) -> NDArray[Any]:
    kind = _floating(array)
    r, g, b = (array[..., channel : channel + 1, :, :].astype(kind) for channel in range(3))
    gray: NDArray[Any] = _as(kind, 0.2989) * r + _as(kind, 0.587) * g + _as(kind, 0.114) * b
    return gray.astype(array.dtype)


def _hsv(array: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Hue, saturation and value as Pillow's Convert.c has them, without a division by zero."""
    r, g, b = (array[..., channel, :, :] for channel in range(3))
    high, low = array.max(axis=-3), array.min(axis=-3)
    spread, is_gray = high - low, high == low
    s = spread / np.where(is_gray, 1, high)
    divisor = np.where(is_gray, 1, spread)
    rc, gc, bc = (high - r) / divisor, (high - g) / divisor, (high - b) / divisor
    h = np.where(high == r, bc - gc, np.where(high == g, 2 + rc - bc, 4 + gc - rc))
    return np.fmod(h / 6 + 1, 1), s, high


def _rgb(h: NDArray[Any], s: NDArray[Any], v: NDArray[Any]) -> NDArray[Any]:
    sector = np.floor(h * 6)
    f = h * 6 - sector
    p, q, t = (np.clip(v * (1 - part), 0, 1) for part in (s, s * f, s * (1 - f)))
    which = sector.astype(np.int32) % 6
    channels = ((v, q, p, p, t, v), (t, v, v, q, p, p), (p, p, t, v, v, q))
    return np.stack([np.choose(which, channel) for channel in channels], axis=-3)


def _enhanced(img: Any, kind: str, factor: float) -> Any:
    from PIL import ImageEnhance

    return getattr(ImageEnhance, kind)(img).enhance(factor)


def _turned(img: Any, hue_factor: float) -> Any:
    """Pillow keeps hues as bytes, which wrap around."""
    if img.mode in ("L", "1", "I", "F"):
        return img
    h, s, v = img.convert("HSV").split()
    turned = np.array(h, np.uint8) + np.int32(hue_factor * 255).astype(np.uint8)
    module = pillow("adjust_hue")
    return module.merge("HSV", (module.fromarray(turned), s, v)).convert(img.mode)
