"""Vision transformer: Dosovitskiy et al., An image is worth 16x16 words, https://arxiv.org/abs/2010.11929."""

from __future__ import annotations

import math
from collections import OrderedDict

import ggml.nn as nn
from ggml.core.errors import ArgumentError, ShapeMismatchError
from ggml.ops.create.factories import zeros
from ggml.ops.shape.concatenation import cat
from ggml.tensors.tensor import Tensor
from ggml.vision.models.building import Weights, with_weights


class EncoderBlock(nn.Module):
    """Attention and two linear layers, each behind a norm and beside the identity: [N, S, hidden_dim]."""

    def __init__(self, num_heads: int, hidden_dim: int, mlp_dim: int, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(hidden_dim, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(hidden_dim, num_heads, attention_dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = nn.LayerNorm(hidden_dim, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(hidden_dim, mlp_dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(mlp_dim, hidden_dim),
            nn.Dropout(dropout),
        )
        for layer in (self.mlp[0], self.mlp[3]):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.normal_(layer.bias, std=1e-6)

    def forward(self, input: Tensor) -> Tensor:
        x = self.ln_1(input)
        x, _ = self.self_attention(x, x, x, need_weights=False)
        x = self.dropout(x) + input
        result: Tensor = x + self.mlp(self.ln_2(x))
        return result


class Encoder(nn.Module):
    """Positions, blocks and a norm: [N, seq_length, hidden_dim]."""

    def __init__(
        self,
        seq_length: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
    ) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(zeros(1, seq_length, hidden_dim))
        nn.init.normal_(self.pos_embedding, std=0.02)
        self.dropout = nn.Dropout(dropout)
        blocks = (EncoderBlock(num_heads, hidden_dim, mlp_dim, dropout, attention_dropout) for _ in range(num_layers))
        self.layers = nn.Sequential(OrderedDict((f"encoder_layer_{i}", block) for i, block in enumerate(blocks)))
        self.ln = nn.LayerNorm(hidden_dim, eps=1e-6)

    def forward(self, input: Tensor) -> Tensor:
        result: Tensor = self.ln(self.layers(self.dropout(input + self.pos_embedding)))
        return result


class VisionTransformer(nn.Module):
    """Images [N, 3, image_size, image_size], cut into patches, to the scores [N, num_classes]."""

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        num_classes: int = 1000,
    ) -> None:
        super().__init__()
        if image_size % patch_size:
            raise ArgumentError("VisionTransformer", "image_size", f"{image_size} is no multiple of {patch_size}")
        self.image_size, self.patch_size, self.hidden_dim = image_size, patch_size, hidden_dim
        self.conv_proj = nn.Conv2d(3, hidden_dim, patch_size, patch_size)
        self.class_token = nn.Parameter(zeros(1, 1, hidden_dim))
        self.seq_length = (image_size // patch_size) ** 2 + 1
        self.encoder = Encoder(self.seq_length, num_layers, num_heads, hidden_dim, mlp_dim, dropout, attention_dropout)
        self.heads = nn.Sequential(OrderedDict(head=nn.Linear(hidden_dim, num_classes)))
        nn.init.trunc_normal_(self.conv_proj.weight, std=math.sqrt(1 / (3 * patch_size**2)))
        if self.conv_proj.bias is not None:
            nn.init.zeros_(self.conv_proj.bias)
        nn.init.zeros_(self.heads[0].weight)
        nn.init.zeros_(self.heads[0].bias)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or tuple(x.shape[2:]) != (self.image_size, self.image_size):
            rule = f"images [N, 3, {self.image_size}, {self.image_size}]"
            raise ShapeMismatchError("VisionTransformer", rule, tuple(x.shape))
        patches = self.conv_proj(x).flatten(2).permute(0, 2, 1)
        tokens = cat([self.class_token.expand(x.shape[0], -1, -1), patches], 1)
        scores: Tensor = self.heads(self.encoder(tokens)[:, 0])
        return scores


def vit_b_16(*, weights: Weights = None, num_classes: int = 1000, image_size: int = 224) -> VisionTransformer:
    """The base model with patches of 16 x 16, with the weights of a local file."""
    model = VisionTransformer(image_size, 16, 12, 12, 768, 3072, num_classes=num_classes)
    return with_weights("vit_b_16", model, weights)
