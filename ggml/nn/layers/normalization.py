"""Layers that bring rows or groups of channels to one scale."""

from __future__ import annotations

from collections.abc import Sequence

from ggml.core.dtypes import DType
from ggml.core.errors import ArgumentError
from ggml.nn import functional, init
from ggml.nn.layers.affine import Affine
from ggml.nn.module.module import Module
from ggml.nn.parameter import Parameter
from ggml.ops.create.factories import Place, empty
from ggml.registry.arguments import integer, sizes
from ggml.tensors.tensor import Tensor

__all__ = ["GroupNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]


class LayerNorm(Affine):
    """Mean 0 and variance 1 over the trailing axes ``normalized_shape``, then scaled and shifted."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Place = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = sizes(type(self).__name__, (normalized_shape,), "normalized_shape")
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._register_affine(self.normalized_shape, elementwise_affine, elementwise_affine and bias, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return functional.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = self.elementwise_affine
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={affine}, bias={self.bias is not None}"


class RMSNorm(Module):
    """Over the root of the mean square of the trailing axes, then scaled. ``eps`` None is that of float32."""

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Place = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = sizes(type(self).__name__, (normalized_shape,), "normalized_shape")
        self.eps, self.elementwise_affine = eps, elementwise_affine
        value = empty(self.normalized_shape, device=device, dtype=dtype) if elementwise_affine else None
        self.register_parameter("weight", None if value is None else Parameter(value))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Affine):
    """Mean 0 and variance 1 over each group of channels (axis 1), then scaled and shifted by channel."""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Place = None,
        dtype: DType | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        num_groups = integer("GroupNorm", num_groups, "num_groups")
        num_channels = integer("GroupNorm", num_channels, "num_channels")
        if num_groups < 1 or num_channels % num_groups:
            raise ArgumentError(
                "GroupNorm", "num_channels", f"{num_channels} cannot be divided into {num_groups} groups"
            )
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self._register_affine(num_channels, affine, affine and bias, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return functional.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine, has_bias = self.affine, self.bias is not None
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={affine}, bias={has_bias}"


class LocalResponseNorm(Module):
    """Over the squares of ``size`` neighbouring channels (axis 1)."""

    def __init__(self, size: int, alpha: float = 0.0001, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        return functional.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
