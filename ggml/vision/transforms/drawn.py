"""Transforms that draw, from ggml's default generator: ``ggml.manual_seed`` decides, or a worker's seed of the batch.

``get_params`` draws and the functions of ``functional`` do the rest, as in torchvision.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ggml.core.errors import ArgumentError
from ggml.ops.create.random import default_generator
from ggml.vision.transforms import functional as F
from ggml.vision.transforms.fixed import Transform
from ggml.vision.transforms.functional import InterpolationMode
from ggml.vision.transforms.functional.image import pair


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * float(default_generator.uniform(()))


def _below(limit: int) -> int:
    return int(default_generator.integers(0, limit, ()))


def _probability(op: str, p: float) -> float:
    if not 0 <= p <= 1:
        raise ArgumentError(op, "p", f"must be in [0, 1], and is {p}")
    return p


class RandomHorizontalFlip(Transform):
    """Left and right exchanged, with the probability ``p``."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = _probability("RandomHorizontalFlip", p)

    def __call__(self, img: Any) -> Any:
        return F.hflip(img) if _uniform(0, 1) < self.p else img


class RandomVerticalFlip(Transform):
    """Top and bottom exchanged, with the probability ``p``."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = _probability("RandomVerticalFlip", p)

    def __call__(self, img: Any) -> Any:
        return F.vflip(img) if _uniform(0, 1) < self.p else img


class RandomCrop(Transform):
    """A part of this height and width from anywhere, after a border where one is asked for."""

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        self.size, self.padding, self.pad_if_needed = pair("RandomCrop", size), padding, pad_if_needed
        self.fill, self.padding_mode = fill, padding_mode

    @staticmethod
    def get_params(img: Any, output_size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Top, left, height and width of a part."""
        _, height, width = F.get_dimensions(img)
        wanted_height, wanted_width = output_size
        if height < wanted_height or width < wanted_width:
            raise ArgumentError("RandomCrop", "size", f"{output_size} is larger than the image, {(height, width)}")
        return _below(height - wanted_height + 1), _below(width - wanted_width + 1), wanted_height, wanted_width

    def __call__(self, img: Any) -> Any:
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        _, height, width = F.get_dimensions(img)
        more = [max(self.size[1] - width, 0), max(self.size[0] - height, 0)]
        if self.pad_if_needed and any(more):
            img = F.pad(img, more, self.fill, self.padding_mode)
        return F.crop(img, *self.get_params(img, self.size))


class RandomResizedCrop(Transform):
    """A part whose share of the area and whose shape are drawn, brought to one size: for training on ImageNet."""

    def __init__(
        self,
        size: int | Sequence[int],
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        for name, (low, high) in {"scale": scale, "ratio": ratio}.items():
            if not 0 < low <= high:
                raise ArgumentError("RandomResizedCrop", name, f"must be a range above 0, and is {(low, high)}")
        self.size, self.scale, self.ratio = pair("RandomResizedCrop", size), scale, ratio
        self.interpolation, self.antialias = interpolation, antialias

    @staticmethod
    def get_params(img: Any, scale: tuple[float, float], ratio: tuple[float, float]) -> tuple[int, int, int, int]:
        """Top, left, height and width of a part. After ten that do not fit, the middle in the nearest shape."""
        _, height, width = F.get_dimensions(img)
        low, high = math.log(ratio[0]), math.log(ratio[1])
        for _ in range(10):
            area, shape = height * width * _uniform(*scale), math.exp(_uniform(low, high))
            w, h = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
            if 0 < w <= width and 0 < h <= height:
                return _below(height - h + 1), _below(width - w + 1), h, w
        shape = min(max(width / height, ratio[0]), ratio[1])
        w, h = min(width, round(height * shape)), min(height, round(width / shape))
        return (height - h) // 2, (width - w) // 2, h, w

    def __call__(self, img: Any) -> Any:
        part = F.crop(img, *self.get_params(img, self.scale, self.ratio))
        return F.resize(part, self.size, self.interpolation, antialias=self.antialias)


class ColorJitter(Transform):
    """Brightness, contrast, saturation and hue changed in random order.

    Each is a range of factors, or a number x for [max(0, 1 - x), 1 + x], and for the hue [-x, x].
    """

    def __init__(
        self,
        brightness: float | tuple[float, float] = 0,
        contrast: float | tuple[float, float] = 0,
        saturation: float | tuple[float, float] = 0,
        hue: float | tuple[float, float] = 0,
    ) -> None:
        self.brightness = _range("brightness", brightness, 1.0, 0.0, math.inf)
        self.contrast = _range("contrast", contrast, 1.0, 0.0, math.inf)
        self.saturation = _range("saturation", saturation, 1.0, 0.0, math.inf)
        self.hue = _range("hue", hue, 0.0, -0.5, 0.5)

    @staticmethod
    def get_params(
        brightness: tuple[float, float] | None,
        contrast: tuple[float, float] | None,
        saturation: tuple[float, float] | None,
        hue: tuple[float, float] | None,
    ) -> tuple[list[int], float | None, float | None, float | None, float | None]:
        """The order of the four, and a factor for each that is not None."""
        order = default_generator.permutation(4).tolist()
        b, c, s, h = (None if one is None else _uniform(*one) for one in (brightness, contrast, saturation, hue))
        return order, b, c, s, h

    def __call__(self, img: Any) -> Any:
        order, *factors = self.get_params(self.brightness, self.contrast, self.saturation, self.hue)
        functions = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        for place in order:
            factor = factors[place]
            if factor is not None:
                img = functions[place](img, factor)
        return img


def _range(name: str, value: Any, center: float, lowest: float, highest: float) -> tuple[float, float] | None:
    """The range of factors; None where it would change nothing."""
    if isinstance(value, (int, float)):
        if value < 0:
            raise ArgumentError("ColorJitter", name, f"must not be negative, and is {value}")
        low = center - value
        low, high = max(low, 0.0) if center else low, center + value
    else:
        low, high = (float(one) for one in value)
    if not lowest <= low <= high <= highest:
        raise ArgumentError("ColorJitter", name, f"must be within [{lowest}, {highest}], and is {(low, high)}")
    return None if low == high == center else (low, high)
