"""Schedules of an optimiser's rate, with PyTorch's names."""

from __future__ import annotations

from ggml.optim.lr_scheduler.base import LRScheduler
from ggml.optim.lr_scheduler.cyclic import CyclicLR, OneCycleLR
from ggml.optim.lr_scheduler.plain import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from ggml.optim.lr_scheduler.plateau import ReduceLROnPlateau
from ggml.optim.lr_scheduler.sequential import ChainedScheduler, SequentialLR

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
