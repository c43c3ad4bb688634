"""What the models share: blocks of layers, the start of weights, and files of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import ggml.nn as nn
from ggml.core.errors import ArgumentError
from ggml.io.reading import load

Weights = str | Path | None
M = TypeVar("M", bound=nn.Module)


def with_weights(op: str, model: M, weights: Any) -> M:
    """The model with the weights of a file that ``ggml.save`` wrote, or as it is."""
    if weights is None:
        return model
    if not isinstance(weights, (str, Path)):
        raise ArgumentError(op, "weights", "must be None or a local file of ggml.save: nothing is downloaded")
    model.load_state_dict(load(weights))
    return model


def convolved(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    stride: int = 1,
    groups: int = 1,
    activation: Callable[..., Any] = nn.ReLU,
) -> nn.Sequential:
    """A convolution that keeps the size but for its stride, a batch norm, an activation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        activation(inplace=True),
    )


def begin(model: nn.Module, linear_std: float | None = None) -> None:
    """Weights of convolutions by He et al. 2015 (fan_out); of linear layers normal, where a deviation is given."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear) and linear_std is not None:
            nn.init.normal_(module.weight, 0.0, linear_std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
