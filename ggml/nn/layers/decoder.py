"""Layers that attend to their own input and to an encoder's output, and a stack of them."""

from __future__ import annotations

from ggml.core.dtypes import DType
from ggml.nn import functional
from ggml.nn.layers.dropout import Dropout
from ggml.nn.layers.linear import Linear
from ggml.nn.layers.multihead import MultiheadAttention
from ggml.nn.layers.normalization import LayerNorm
from ggml.nn.layers.stack import Activation, activation_of, clones
from ggml.nn.module.module import Module
from ggml.ops.create.factories import Place
from ggml.tensors.tensor import Tensor

__all__ = ["TransformerDecoder", "TransformerDecoderLayer"]


class TransformerDecoderLayer(Module):
    """Self-attention, attention to the encoder's output, feed-forward; each added to its input and normalised."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = functional.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Place = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        for name in ("self_attn", "multihead_attn"):
            heads = MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, device=device, dtype=dtype
            )
            self.add_module(name, heads)
        self.linear1 = Linear(d_model, dim_feedforward, bias, device, dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, device, dtype)
        self.norm_first = norm_first
        for name in ("norm1", "norm2", "norm3"):
            self.add_module(name, LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype))
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)
        self.activation = activation_of(activation)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Targets and the encoder's output: [L, N, E], or [N, L, E] with ``batch_first``."""

        def look_back(x: Tensor) -> Tensor:
            seen = self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal)[0]
            return self.dropout1(seen)  # type: ignore[no-any-return]

        def look_across(x: Tensor) -> Tensor:
            padding, hint = memory_key_padding_mask, memory_is_causal
            seen = self.multihead_attn(x, memory, memory, padding, False, memory_mask, is_causal=hint)[0]
            return self.dropout2(seen)  # type: ignore[no-any-return]

        parts = ((look_back, self.norm1), (look_across, self.norm2), (self._feed, self.norm3))
        for part, norm in parts:
            tgt = tgt + part(norm(tgt)) if self.norm_first else norm(tgt + part(tgt))
        return tgt

    def _feed(self, x: Tensor) -> Tensor:
        return self.dropout3(self.linear2(self.dropout(self.activation(self.linear1(x)))))  # type: ignore[no-any-return]


class TransformerDecoder(Module):
    """Copies of one layer in a row, and perhaps a norm at the end."""

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = clones(decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Targets and the encoder's output: [L, N, E], or [N, L, E] with ``batch_first``."""
        masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        for layer in self.layers:
            tgt = layer(tgt, memory, *masks, tgt_is_causal is True, memory_is_causal)
        return tgt if self.norm is None else self.norm(tgt)
