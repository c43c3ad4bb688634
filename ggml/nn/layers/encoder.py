"""Layers that attend to their own input, and a stack of them."""

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

__all__ = ["TransformerEncoder", "TransformerEncoderLayer"]


class TransformerEncoderLayer(Module):
    """Self-attention, then ``linear2(activation(linear1(x)))``, each added to its input and normalised.

    ``norm_first`` normalises before each of the two instead of after.
    """

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
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, device=device, dtype=dtype
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, device, dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, device, dtype)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = activation_of(activation)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """[L, N, E], or [N, L, E] with ``batch_first``; masks as in ``MultiheadAttention``."""

        def attend(x: Tensor) -> Tensor:
            seen = self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal)[0]
            return self.dropout1(seen)  # type: ignore[no-any-return]

        if self.norm_first:
            src = src + attend(self.norm1(src))
            return src + self._feed(self.norm2(src))
        src = self.norm1(src + attend(src))
        return self.norm2(src + self._feed(src))  # type: ignore[no-any-return]

    def _feed(self, x: Tensor) -> Tensor:
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))  # type: ignore[no-any-return]


class TransformerEncoder(Module):
    """Copies of one layer in a row, and perhaps a norm at the end.

    ``enable_nested_tensor`` and ``mask_check`` are taken and have no effect: padded places hold what the layers
    make of them, where PyTorch's fast path puts 0.
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = clones(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """[L, N, E], or [N, L, E] with ``batch_first``. ``is_causal`` True says that ``mask`` is causal."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, is_causal is True)
        return src if self.norm is None else self.norm(src)
