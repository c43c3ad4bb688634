"""Layers that put the largest elements of windows back."""

from __future__ import annotations

from collections.abc import Sequence

from ggml.nn import functional
from ggml.nn.module.module import Module
from ggml.ops.spatial.axes import Extents, extents
from ggml.tensors.tensor import Tensor

__all__ = ["MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d"]


class _MaxUnpool(Module):
    rank: int

    def __init__(self, kernel_size: Extents, stride: Extents | None = None, padding: Extents = 0) -> None:
        super().__init__()
        name = type(self).__name__
        self.kernel_size = extents(name, kernel_size, "kernel_size", self.rank)
        self.stride = self.kernel_size if stride is None else extents(name, stride, "stride", self.rank)
        self.padding = extents(name, padding, "padding", self.rank, 0)

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        unpool = getattr(functional, f"max_unpool{self.rank}d")
        result: Tensor = unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)
        return result

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """The way back from ``MaxPool1d``; see ``functional.max_unpool1d``."""

    rank = 1


class MaxUnpool2d(_MaxUnpool):
    """The way back from ``MaxPool2d``; see ``functional.max_unpool2d``."""

    rank = 2


class MaxUnpool3d(_MaxUnpool):
    """The way back from ``MaxPool3d``; see ``functional.max_unpool3d``."""

    rank = 3
