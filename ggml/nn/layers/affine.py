"""What scales and shifts: a weight and a bias, each None where it is not wanted."""

from __future__ import annotations

from ggml.core.dtypes import DType
from ggml.nn import init
from ggml.nn.module.module import Module
from ggml.nn.parameter import Parameter
from ggml.ops.create.factories import Place, empty


class Affine(Module):
    """The parameters of a layer that normalises and then scales and shifts."""

    weight: Parameter | None
    bias: Parameter | None

    def _register_affine(
        self, shape: int | tuple[int, ...], has_weight: bool, has_bias: bool, device: Place, dtype: DType | None
    ) -> None:
        for name, is_wanted in (("weight", has_weight), ("bias", has_bias)):
            value = Parameter(empty(shape, device=device, dtype=dtype)) if is_wanted else None
            self.register_parameter(name, value)

    def reset_parameters(self) -> None:
        """Weight 1 and bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)
