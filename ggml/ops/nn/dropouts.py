"""Dropping elements at random. What is dropped comes from ggml's generator, on the host."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core import tracing
from ggml.core.errors import ArgumentError, ShapeMismatchError
from ggml.core.node import Shape
from ggml.ops.create.random import default_generator, drawn
from ggml.registry.arguments import number, strictly_floating, tensor
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor

_DIFFERS = "What is dropped is drawn on the host, so that training is compiled by ``compile_step`` only."

# selu for inputs far below 0: what a dropped element becomes, so that mean and variance stay.
_LOW = -1.7580993408473766


def _share(name: str, p: float) -> float:
    share = float(number(name, p, "p"))
    if not 0 <= share <= 1:
        raise ArgumentError(name, "p", f"must lie in [0, 1]: {p}")
    return share


def _kept(name: str, input: Tensor, shape: Shape, share: float) -> Tensor:
    """1 where an element stays and 0 where it is dropped, in the dtype and place of ``input``."""
    tracing.refuse_change(name)  # one draw would be kept for every call

    def draw() -> NDArray[Any]:
        return np.asarray(default_generator.uniform(shape) >= share, np.float32)

    return drawn(draw, shape, input.dtype, input.device)


def _drop(name: str, input: Tensor, shape: Shape, share: float) -> Tensor:
    x = strictly_floating(name, input)
    if share == 1:
        return x * 0.0
    return x * (_kept(name, x, shape, share) * (1 / (1 - share)))


@op(runs="composed", sample="dropout", torch="nn.functional.dropout", methods=(), differs=_DIFFERS)
def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """While training: 0 in place of an element with probability ``p``, the others over ``1 - p``."""
    share = _share("dropout", p)
    x = tensor("dropout", input)
    result = _drop("dropout", x, x._node.shape, share) if training and share else x
    return x._assign(result, "dropout") if inplace else result


def _channels(name: str, x: Tensor, batched: bool) -> Shape:
    """The shape of a mask that takes whole channels."""
    outer = 2 if batched else 1
    if x.ndim < outer:
        raise ShapeMismatchError(name, f"at least {outer} axes", tuple(x.shape))
    return (*x._node.shape[:outer], *[1] * (x.ndim - outer))


def _by_channel(name: str, input: Tensor, p: float, training: bool, inplace: bool, batched: bool) -> Tensor:
    share, x = _share(name, p), tensor(name, input)
    result = _drop(name, x, _channels(name, x, batched), share) if training and share else x
    return x._assign(result, name) if inplace else result


@op(runs="composed", sample="dropout1d", torch="nn.functional.dropout1d", methods=(), differs=_DIFFERS)
def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """``dropout`` of whole channels: [N, C, L] or [C, L]."""
    if tensor("dropout1d", input).ndim not in (2, 3):
        raise ShapeMismatchError("dropout1d", "2 or 3 axes", tuple(input.shape))
    return _by_channel("dropout1d", input, p, training, inplace, input.ndim == 3)


@op(runs="composed", sample="dropout", torch="nn.functional.dropout2d", methods=(), differs=_DIFFERS)
def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """``dropout`` of whole channels: [N, C, H, W]. As in PyTorch, three axes are [N, C, L]."""
    return _by_channel("dropout2d", input, p, training, inplace, True)


@op(runs="composed", sample="dropout", torch="nn.functional.dropout3d", methods=(), differs=_DIFFERS)
def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """``dropout`` of whole channels: [N, C, D, H, W] or [C, D, H, W]."""
    return _by_channel("dropout3d", input, p, training, inplace, tensor("dropout3d", input).ndim == 5)


def _alpha(name: str, input: Tensor, shape: Shape, share: float) -> Tensor:
    """Dropped elements become ``_LOW``; then scaled and shifted so that mean 0 and variance 1 stay."""
    x = strictly_floating(name, input)
    if share == 1:
        return x * 0.0
    kept = _kept(name, x, shape, share)
    scale = 1 / math.sqrt((1 - share) * (1 + share * _LOW * _LOW))
    return x * (kept * scale) + ((1 - kept) * _LOW + share * -_LOW) * scale


@op(runs="composed", sample="dropout", torch="nn.functional.alpha_dropout", methods=(), differs=_DIFFERS)
def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """``dropout`` that keeps mean and variance, for networks of ``selu``."""
    share, x = _share("alpha_dropout", p), tensor("alpha_dropout", input)
    result = _alpha("alpha_dropout", x, x._node.shape, share) if training and share else x
    return x._assign(result, "alpha_dropout") if inplace else result


@op(runs="composed", sample="dropout", torch="nn.functional.feature_alpha_dropout", methods=(), differs=_DIFFERS)
def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """``alpha_dropout`` of whole channels (axis 1)."""
    name = "feature_alpha_dropout"
    share, x = _share(name, p), tensor(name, input)
    result = _alpha(name, x, _channels(name, x, True), share) if training and share else x
    return x._assign(result, name) if inplace else result
