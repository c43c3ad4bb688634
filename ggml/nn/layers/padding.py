"""Layers that put more elements at the ends of axes."""

from __future__ import annotations

from typing import Any

from ggml.core.errors import ArgumentError
from ggml.nn import functional
from ggml.nn.module.module import Module
from ggml.registry.arguments import integer
from ggml.tensors.tensor import Tensor

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Pad(Module):
    """``padding`` is one number for every side, or a pair for each axis, the last axis first."""

    rank: int
    mode: str

    def __init__(self, padding: Any) -> None:
        super().__init__()
        name = type(self).__name__
        given = list(padding) if isinstance(padding, (tuple, list)) else [padding] * (2 * self.rank)
        if len(given) != 2 * self.rank:
            raise ArgumentError(name, "padding", f"must be one integer or {2 * self.rank}, not {tuple(given)}")
        self.padding = tuple(integer(name, one, "padding") for one in given)

    def forward(self, input: Tensor) -> Tensor:
        return functional.pad(input, self.padding, mode=self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    mode = "constant"

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return functional.pad(input, self.padding, mode="constant", value=self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ReflectionPad(_Pad):
    mode = "reflect"


class _ReplicationPad(_Pad):
    mode = "replicate"


class _CircularPad(_Pad):
    mode = "circular"


class CircularPad1d(_CircularPad):
    """The last axis continued from the other end."""

    rank = 1


class CircularPad2d(_CircularPad):
    """The last two axes continued from the other end."""

    rank = 2


class CircularPad3d(_CircularPad):
    """The last three axes continued from the other end."""

    rank = 3


class ConstantPad1d(_ConstantPad):
    """The last axis continued with ``value``."""

    rank = 1


class ConstantPad2d(_ConstantPad):
    """The last two axes continued with ``value``."""

    rank = 2


class ConstantPad3d(_ConstantPad):
    """The last three axes continued with ``value``."""

    rank = 3


class ReflectionPad1d(_ReflectionPad):
    """The last axis continued by its mirror image."""

    rank = 1


class ReflectionPad2d(_ReflectionPad):
    """The last two axes continued by their mirror image."""

    rank = 2


class ReflectionPad3d(_ReflectionPad):
    """The last three axes continued by their mirror image."""

    rank = 3


class ReplicationPad1d(_ReplicationPad):
    """The last axis continued with its outermost elements."""

    rank = 1


class ReplicationPad2d(_ReplicationPad):
    """The last two axes continued with their outermost elements."""

    rank = 2


class ReplicationPad3d(_ReplicationPad):
    """The last three axes continued with their outermost elements."""

    rank = 3


class ZeroPad1d(_ZeroPad):
    """The last axis continued with zeros."""

    rank = 1


class ZeroPad2d(_ZeroPad):
    """The last two axes continued with zeros."""

    rank = 2


class ZeroPad3d(_ZeroPad):
    """The last three axes continued with zeros."""

    rank = 3
