"""The feed-forward part of a transformer's layer."""

from __future__ import annotations

from collections.abc import Callable

from ggml.core.dtypes import DType
from ggml.core.errors import ArgumentError
from ggml.nn import functional
from ggml.nn.layers.dropout import Dropout
from ggml.nn.layers.linear import Linear
from ggml.nn.module.module import Module
from ggml.ops.create.factories import Place
from ggml.tensors.tensor import Tensor

__all__ = ["FeedForward"]

_GATED: dict[str, Callable[..., Tensor]] = {
    "swiglu": functional.swiglu,
    "geglu": functional.geglu,
    "reglu": functional.reglu,
}
_PLAIN: dict[str, Callable[..., Tensor]] = {
    "gelu": functional.gelu,
    "relu": functional.relu,
    "silu": functional.silu,
}


class FeedForward(Module):
    """``down_proj(silu(gate_proj(x)) * up_proj(x))``: [..., d_model] by way of [..., hidden_dim].

    ``activation`` is ``"swiglu"``, ``"geglu"`` or ``"reglu"``; or, without a gate, ``"gelu"``, ``"relu"`` or
    ``"silu"``: ``down_proj(gelu(up_proj(x)))``. Parameters have the names of Hugging Face's Llama.
    """

    def __init__(
        self,
        d_model: int,
        hidden_dim: int,
        activation: str = "swiglu",
        bias: bool = False,
        dropout: float = 0.0,
        device: Place = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        if activation not in _GATED and activation not in _PLAIN:
            known = ", ".join([*_GATED, *_PLAIN])
            raise ArgumentError("FeedForward", "activation", f"must be one of {known}, not {activation!r}")
        self.activation = activation
        self.gate_proj = Linear(d_model, hidden_dim, bias, device, dtype) if activation in _GATED else None
        self.up_proj = Linear(d_model, hidden_dim, bias, device, dtype)
        self.down_proj = Linear(hidden_dim, d_model, bias, device, dtype)
        self.dropout = Dropout(dropout)

    def forward(self, input: Tensor) -> Tensor:
        up: Tensor = self.up_proj(input)
        if self.gate_proj is None:
            hidden = _PLAIN[self.activation](up)
        else:
            hidden = _GATED[self.activation](self.gate_proj(input), up)
        result: Tensor = self.down_proj(self.dropout(hidden))
        return result

    def extra_repr(self) -> str:
        return f"activation={self.activation!r}"
