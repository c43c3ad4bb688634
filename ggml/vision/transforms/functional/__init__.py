"""Transforms as functions: what the classes do once they have drawn their numbers."""

from __future__ import annotations

from ggml.vision.transforms.functional.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
)
from ggml.vision.transforms.functional.conversion import normalize, to_tensor
from ggml.vision.transforms.functional.geometry import center_crop, crop, hflip, pad, resize, vflip
from ggml.vision.transforms.functional.image import InterpolationMode, get_dimensions

__all__ = [
    "InterpolationMode",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_saturation",
    "center_crop",
    "crop",
    "get_dimensions",
    "hflip",
    "normalize",
    "pad",
    "resize",
    "to_tensor",
    "vflip",
]
