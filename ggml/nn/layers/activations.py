"""Activation functions as layers: those without arguments, or with ``inplace`` only."""

from __future__ import annotations

from typing import Any, ClassVar

from ggml.core.errors import ShapeMismatchError
from ggml.nn import functional
from ggml.nn.module.module import Module
from ggml.tensors.tensor import Tensor

__all__ = [
    "SELU",
    "Hardsigmoid",
    "Hardswish",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softsign",
    "Tanh",
    "Tanhshrink",
]


class _Plain(Module):
    """One function of each element."""

    _function: ClassVar[Any]

    def forward(self, input: Tensor) -> Tensor:
        result: Tensor = type(self)._function(input)
        return result


class _InPlace(Module):
    """The same; with ``inplace`` the tensor that comes in takes the result, too."""

    _function: ClassVar[Any]

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        result: Tensor = type(self)._function(input, inplace=self.inplace)
        return result

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class ReLU(_InPlace):
    """The larger of the element and 0."""

    _function = staticmethod(functional.relu)


class ReLU6(_InPlace):
    """``clamp(input, 0, 6)``."""

    _function = staticmethod(functional.relu6)


class SiLU(_InPlace):
    """``input * sigmoid(input)``."""

    _function = staticmethod(functional.silu)


class Mish(_InPlace):
    """``input * tanh(softplus(input))``."""

    _function = staticmethod(functional.mish)


class SELU(_InPlace):
    """``ELU`` with the constants that keep mean and variance."""

    _function = staticmethod(functional.selu)


class Hardswish(_InPlace):
    """``input * clamp(input + 3, 0, 6) / 6``."""

    _function = staticmethod(functional.hardswish)

    def extra_repr(self) -> str:
        return ""


class Hardsigmoid(_InPlace):
    """``clamp(input + 3, 0, 6) / 6``."""

    _function = staticmethod(functional.hardsigmoid)

    def extra_repr(self) -> str:
        return ""


class Tanh(_Plain):
    """The hyperbolic tangent."""

    _function = staticmethod(functional.tanh)


class Sigmoid(_Plain):
    """``1 / (1 + exp(-input))``."""

    _function = staticmethod(functional.sigmoid)


class LogSigmoid(_Plain):
    """``log(sigmoid(input))``."""

    _function = staticmethod(functional.logsigmoid)


class Softsign(_Plain):
    """``input / (1 + |input|)``."""

    _function = staticmethod(functional.softsign)


class Tanhshrink(_Plain):
    """``input - tanh(input)``."""

    _function = staticmethod(functional.tanhshrink)


class _AlongDim(Module):
    """A function of the rows along ``dim``. None is PyTorch's old rule: 0 for 0, 1 or 3 axes, else 1."""

    _function: ClassVar[Any]

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        dim = self.dim
        if dim is None:
            dim = 0 if input.ndim in (0, 1, 3) else 1
        result: Tensor = type(self)._function(input, dim)
        return result

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(_AlongDim):
    """``exp(input)`` over its sum along ``dim``."""

    _function = staticmethod(functional.softmax)


class Softmin(_AlongDim):
    """``Softmax`` of the negated input."""

    _function = staticmethod(functional.softmin)


class LogSoftmax(_AlongDim):
    """The logarithm of ``Softmax``."""

    _function = staticmethod(functional.log_softmax)


class Softmax2d(Module):
    """``Softmax`` over the channels of [N, C, H, W] or [C, H, W]."""

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (3, 4):
            raise ShapeMismatchError("Softmax2d", "3 or 4 axes", tuple(input.shape))
        return functional.softmax(input, -3)
