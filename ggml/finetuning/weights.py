"""The tensors of a model's file, each taken once and with the shape that it must have."""

from __future__ import annotations

from collections.abc import Mapping

from ggml.core import dtypes
from ggml.core.errors import FileFormatError
from ggml.nn.layers.linear import Linear
from ggml.nn.module.module import Module
from ggml.nn.parameter import Parameter
from ggml.tensors.tensor import Tensor


class Weights:
    """By name, over the mapped file. ``finish`` is an error where one is left that nothing has taken."""

    def __init__(self, path: str, tensors: Mapping[str, Tensor]) -> None:
        self._path, self._left = path, dict(tensors)

    def has(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str, *shape: int) -> Tensor:
        """A tensor of that shape. FileFormatError for one that is missing, of another shape, or of no such type."""
        found = self._left.pop(name, None)
        if found is None:
            raise FileFormatError(self._path, name, "there is no such tensor; convert the model again")
        if tuple(found.shape) != shape:
            raise FileFormatError(self._path, name, f"has shape {tuple(found.shape)}, must have {shape}")
        if not (found.dtype.is_floating_point or found.dtype.is_quantized):
            raise FileFormatError(self._path, name, f"has type {found.dtype}; weights are floats or quantised")
        return found

    def vector(self, name: str, length: int) -> Tensor:
        return self.take(name, length).to(dtypes.float32)

    def linear(self, name: str, num_out: int, num_in: int) -> FrozenLinear:
        """The layer of NAME.weight [out, in], and of NAME.bias [out] where there is one."""
        weight = self.take(f"{name}.weight", num_out, num_in)
        bias = self.vector(f"{name}.bias", num_out) if self.has(f"{name}.bias") else None
        return FrozenLinear(weight, bias)

    def finish(self) -> None:
        """A tensor that nothing computes with would be left out in silence: the module would be another model."""
        if self._left:
            name = min(self._left)
            raise FileFormatError(
                self._path, ascii(name), "is a tensor that models of this kind have not; take another"
            )


class FrozenLinear(Linear):
    """A Linear over a weight [out, in] that lies where it is: nothing is drawn, and nothing requires a gradient."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        Module.__init__(self)  # Linear's own would fill a weight of that size first
        self.out_features, self.in_features = weight.shape
        self.weight = Parameter(weight, requires_grad=False)
        self.register_parameter("bias", None if bias is None else Parameter(bias, requires_grad=False))
