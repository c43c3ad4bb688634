"""A linear layer that stays as it is, and a small product beside it that learns."""

from __future__ import annotations

import math
from typing import Any

from ggml.core import dtypes
from ggml.core.errors import ArgumentError, DTypeError
from ggml.nn import functional, init
from ggml.nn.layers.dropout import Dropout
from ggml.nn.layers.linear import Linear
from ggml.nn.module.module import Module
from ggml.nn.parameter import Parameter
from ggml.ops.create.factories import empty, zeros
from ggml.ops.linalg.matmul import matmul
from ggml.registry.arguments import integer, number
from ggml.tensors.tensor import Tensor

__all__ = ["LoRALinear"]


class LoRALinear(Module):
    """``base(x) + alpha / rank * (dropout(x) @ lora_A.T) @ lora_B.T``: [..., in] becomes [..., out].

    ``base`` is a Linear, whose weight [out, in] may be quantised; its parameters no longer require gradients, those of
    the input pass it. ``lora_A`` [rank, in] is drawn as the weight of a Linear, ``lora_B`` [out, rank] is zeros, so
    that nothing changes before the first step; both are float32. Source: Hu et al., 2021 (arXiv 2106.09685).
    """

    base: Linear
    lora_A: Parameter
    lora_B: Parameter

    def __init__(self, base: Linear, rank: int, alpha: float, dropout: float = 0.0) -> None:
        super().__init__()
        if not isinstance(base, Linear):
            raise DTypeError("LoRALinear", "a Linear as base", type(base).__name__)
        num_out, num_in = base.weight.shape
        self.rank, self.alpha = integer("LoRALinear", rank, "rank"), float(number("LoRALinear", alpha, "alpha"))
        if not 1 <= self.rank <= min(num_in, num_out):
            why = f"must be at least 1 and at most {min(num_in, num_out)}, the smaller side of the weight: {rank}"
            raise ArgumentError("LoRALinear", "rank", why)
        if not math.isfinite(self.alpha):
            raise ArgumentError("LoRALinear", "alpha", f"must be finite: {alpha}")
        self.in_features, self.out_features = num_in, num_out
        self.base = base.requires_grad_(False)
        device = base.weight.device
        self.lora_A = Parameter(empty(self.rank, num_in, device=device))
        self.lora_B = Parameter(zeros(num_out, self.rank, device=device))
        self.dropout = Dropout(dropout)
        self._unmerged: Tensor | None = None
        self.reset_parameters()

    @property
    def scaling(self) -> float:
        """What the product of the two matrices is multiplied by."""
        return self.alpha / self.rank

    @property
    def merged(self) -> bool:
        """Whether the product is in the base's weight."""
        return self._unmerged is not None

    def reset_parameters(self) -> None:
        """``lora_A`` uniform between plus and minus one over the root of ``in_features``, ``lora_B`` zeros."""
        init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        init.zeros_(self.lora_B)

    def forward(self, input: Tensor) -> Tensor:
        found: Tensor = self.base(input)
        if self.merged:
            return found
        low = functional.linear(self.dropout(input), self.lora_A)
        added: Tensor = functional.linear(low, self.lora_B) * self.scaling
        return found + added

    def merge(self) -> None:
        """Add the product to the base's weight, once. DTypeError for a quantised one, which cannot hold it."""
        weight = self.base.weight
        if self.merged:
            return
        if not weight.dtype.is_floating_point:
            raise DTypeError("merge", "a base of floats; dequantize its weight first", weight.dtype)
        before = weight.detach()
        product = matmul(self.lora_B.detach(), self.lora_A.detach()) * self.scaling
        weight.data = (before.to(dtypes.float32) + product).to(weight.dtype)
        self._unmerged = before

    def unmerge(self) -> None:
        """Give the base the weight that it had before ``merge``, bit for bit; no effect where nothing is merged."""
        if self._unmerged is not None:
            self.base.weight.data, self._unmerged = self._unmerged, None

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, rank={self.rank}, alpha={self.alpha}"


def lora_layers(module: Any) -> dict[str, LoRALinear]:
    """Those of a module by the path of each, in order."""
    return {path: one for path, one in module.named_modules() if isinstance(one, LoRALinear)}
