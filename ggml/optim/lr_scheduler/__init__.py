"""Schedules of an optimiser's rate, with PyTorch's names."""

from __future__ import annotations

from ggml.optim.lr_scheduler.base import LRScheduler
from ggml.optim.lr_scheduler.cyclic import OneCycleLR
from ggml.optim.lr_scheduler.plain import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    StepLR,
)
from ggml.optim.lr_scheduler.plateau import ReduceLROnPlateau
from ggml.optim.lr_scheduler.sequential import SequentialLR

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
