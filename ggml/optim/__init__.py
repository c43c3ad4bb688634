"""Optimisers and schedules of their rates, with PyTorch's names and numbers."""

from __future__ import annotations

from ggml.optim import lr_scheduler, swa_utils
from ggml.optim.adam import Adam, Adamax, AdamW, NAdam, RAdam
from ggml.optim.optimizer import Optimizer
from ggml.optim.scaled import Adadelta, Adagrad, Lion, RMSprop
from ggml.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "lr_scheduler",
    "swa_utils",
]
