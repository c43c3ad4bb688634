"""Layers that drop elements or channels while training, from ggml's generator; in evaluation they pass on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ggml.core.errors import ArgumentError
from ggml.nn import functional
from ggml.nn.module.module import Module
from ggml.registry.arguments import number
from ggml.tensors.tensor import Tensor

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class _Dropout(Module):
    _function: ClassVar[Callable[..., Tensor]]

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= number(type(self).__name__, p, "p") <= 1:
            raise ArgumentError(type(self).__name__, "p", f"must lie in [0, 1]: {p}")
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Tensor:
        return type(self)._function(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


def _of(function: Any) -> Any:
    return staticmethod(function)


class Dropout(_Dropout):
    """0 in place of an element with probability ``p``, the others over ``1 - p``. Training is compiled by
    ``compile_step`` only."""

    _function = _of(functional.dropout)


class Dropout1d(_Dropout):
    """``Dropout`` of whole channels of [N, C, L] or [C, L]."""

    _function = _of(functional.dropout1d)


class Dropout2d(_Dropout):
    """``Dropout`` of whole channels of [N, C, H, W] or [N, C, L]."""

    _function = _of(functional.dropout2d)


class Dropout3d(_Dropout):
    """``Dropout`` of whole channels of [N, C, D, H, W] or [C, D, H, W]."""

    _function = _of(functional.dropout3d)


class AlphaDropout(_Dropout):
    """``Dropout`` that keeps mean and variance, for networks of ``SELU``."""

    _function = _of(functional.alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """``AlphaDropout`` of whole channels."""

    _function = _of(functional.feature_alpha_dropout)
