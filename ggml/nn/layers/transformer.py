"""An encoder and a decoder over attention and feed-forward layers, with PyTorch's parameters."""

from __future__ import annotations

import math

from ggml.core import dtypes
from ggml.core.dtypes import DType
from ggml.core.errors import ShapeMismatchError
from ggml.nn import functional, init
from ggml.nn.layers.decoder import TransformerDecoder, TransformerDecoderLayer
from ggml.nn.layers.encoder import TransformerEncoder, TransformerEncoderLayer
from ggml.nn.layers.normalization import LayerNorm
from ggml.nn.layers.stack import Activation
from ggml.nn.module.module import Module
from ggml.ops.create.factories import Place, full
from ggml.ops.reduce.sorting import triu
from ggml.tensors.tensor import Tensor

__all__ = ["Transformer"]


class Transformer(Module):
    """An encoder of the source and a decoder of the target, each with a norm at the end."""

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = functional.relu,
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Place = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        sizes = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)

        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*sizes, device=device, dtype=dtype), num_encoder_layers, norm()
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*sizes, device=device, dtype=dtype), num_decoder_layers, norm()
        )
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        for param in self.parameters():
            if param.ndim > 1:
                init.xavier_uniform_(param)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Source and target: [S, N, E] and [T, N, E], or [N, S, E] and [N, T, E] with ``batch_first``."""
        shapes = (tuple(src.shape), tuple(tgt.shape))
        batch = 0 if self.batch_first else 1
        if src.ndim == 3 and (tgt.ndim != 3 or shapes[0][batch] != shapes[1][batch]):
            raise ShapeMismatchError("Transformer", "one batch of source and target", shapes)
        if any(shape[-1] != self.d_model for shape in shapes):
            raise ShapeMismatchError("Transformer", f"{self.d_model} elements in the last axis", shapes)
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        return self.decoder(tgt, memory, *masks, tgt_is_causal, memory_is_causal)  # type: ignore[no-any-return]

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Place = None, dtype: DType | None = None) -> Tensor:
        """[sz, sz]: -inf above the diagonal, 0 elsewhere."""
        mask: Tensor = triu(full((sz, sz), -math.inf, dtype=dtype or dtypes.float32, device=device), 1)
        return mask
