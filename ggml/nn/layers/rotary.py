"""Rotary position embeddings as a layer."""

from __future__ import annotations

from ggml.core.errors import ArgumentError
from ggml.nn import functional
from ggml.nn.module.module import Module
from ggml.ops.create.factories import arange
from ggml.tensors.tensor import Tensor

__all__ = ["RotaryEmbedding"]


class RotaryEmbedding(Module):
    """``functional.rotary_embedding`` with its arguments fixed; it has no parameters.

    ``freq_factors`` [dim / 2] is a buffer that no state dict holds.
    """

    freq_factors: Tensor | None

    def __init__(
        self,
        dim: int,
        base: float = 10000.0,
        mode: str = "neox",
        freq_scale: float = 1.0,
        freq_factors: Tensor | None = None,
        ext_factor: float = 0.0,
        attn_factor: float = 1.0,
        beta_fast: float = 32.0,
        beta_slow: float = 1.0,
        original_max_position: int = 0,
    ) -> None:
        super().__init__()
        if dim < 2 or dim % 2:
            raise ArgumentError("RotaryEmbedding", "dim", f"must be even and positive: {dim}")
        self.dim, self.base, self.mode, self.freq_scale = dim, base, mode, freq_scale
        self.ext_factor, self.attn_factor = ext_factor, attn_factor
        self.beta_fast, self.beta_slow, self.original_max_position = beta_fast, beta_slow, original_max_position
        self.register_buffer("freq_factors", freq_factors, persistent=False)

    def forward(self, input: Tensor, positions: Tensor | None = None) -> Tensor:
        """Rows [..., T, D] turned by ``positions`` that broadcast to [..., T]; 0 to T - 1 by default."""
        if positions is None:
            positions = arange(input.shape[-2], device=input.device)
        return functional.rotary_embedding(
            input,
            positions,
            self.dim,
            self.base,
            self.mode,
            self.freq_scale,
            self.freq_factors,
            self.ext_factor,
            self.attn_factor,
            self.beta_fast,
            self.beta_slow,
            self.original_max_position,
        )

    def extra_repr(self) -> str:
        return f"{self.dim}, base={self.base}, mode={self.mode!r}"
