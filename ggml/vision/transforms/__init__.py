"""What is done to images before a model sees them, with the names of ``torchvision.transforms``."""

from __future__ import annotations

from ggml.vision.transforms import functional
from ggml.vision.transforms.drawn import (
    ColorJitter,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomVerticalFlip,
)
from ggml.vision.transforms.fixed import CenterCrop, Compose, Lambda, Normalize, Pad, Resize, ToTensor
from ggml.vision.transforms.functional import InterpolationMode

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "InterpolationMode",
    "Lambda",
    "Normalize",
    "Pad",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomVerticalFlip",
    "Resize",
    "ToTensor",
    "functional",
]
