"""The llama architecture in PyTorch, small: RMSNorm, rotary positions, grouped-query attention, SwiGLU.

Shapes: B rows, T positions, D = d_model, H query heads, K key/value heads, E = head width. Parameters carry
the names that llama.cpp gives them, and rotary pairs are neighbours (2i, 2i + 1) as its llama graph has
them, so that the export copies tensors without reordering anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Sizes of the model. Every row width is a multiple of 32, the block of Q8_0."""

    vocab: int
    d_model: int = 192
    num_layers: int = 8
    num_heads: int = 4
    num_kv_heads: int = 2
    head_width: int = 64
    d_ff: int = 384
    context_length: int = 4096
    rope_base: float = 10_000.0
    norm_eps: float = 1e-5


def rope_table(shape: ModelShape) -> tuple[Tensor, Tensor]:
    """Cosines and sines, each [context_length, head_width / 2]."""
    exponents = torch.arange(0, shape.head_width, 2, dtype=torch.float64) / shape.head_width
    angles = torch.outer(torch.arange(shape.context_length, dtype=torch.float64), shape.rope_base**-exponents)
    return angles.cos().float(), angles.sin().float()


def rotate(x_BHTE: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turns each neighbouring pair by its position's angle."""
    even, odd = x_BHTE[..., 0::2], x_BHTE[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


class Norm(nn.Module):
    """RMSNorm with a learned gain."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


class Layer(nn.Module):
    """One block: attention, then the gated feed-forward, each behind a norm and added to the stream."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        width = shape.head_width
        self.num_heads, self.num_kv_heads, self.head_width = shape.num_heads, shape.num_kv_heads, width
        self.attn_norm = Norm(shape.d_model, shape.norm_eps)
        self.attn_q = nn.Linear(shape.d_model, shape.num_heads * width, bias=False)
        self.attn_k = nn.Linear(shape.d_model, shape.num_kv_heads * width, bias=False)
        self.attn_v = nn.Linear(shape.d_model, shape.num_kv_heads * width, bias=False)
        self.attn_output = nn.Linear(shape.num_heads * width, shape.d_model, bias=False)
        self.ffn_norm = Norm(shape.d_model, shape.norm_eps)
        self.ffn_gate = nn.Linear(shape.d_model, shape.d_ff, bias=False)
        self.ffn_up = nn.Linear(shape.d_model, shape.d_ff, bias=False)
        self.ffn_down = nn.Linear(shape.d_ff, shape.d_model, bias=False)

    @torch.no_grad()
    def initialise(self, residual_scale: float) -> None:
        """Heads begin as faint copiers: a token looks for tokens like itself and passes on what it finds.

        Stories repeat names and things, and the embedding is the head too, so a copier is close to what the
        heads must become. After "Mimetic Initialization of Self-Attention Layers", Trockman and Kolter, 2023.
        """
        for linear in (self.attn_q, self.attn_k, self.ffn_gate, self.ffn_up):
            nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
        nn.init.normal_(self.ffn_down.weight, std=residual_scale * self.ffn_down.in_features**-0.5)
        groups = self.num_heads // self.num_kv_heads
        nn.init.orthogonal_(self.attn_v.weight)
        heads = self.attn_v.weight.unflatten(0, (self.num_kv_heads, self.head_width))
        self.attn_output.weight.copy_(residual_scale * heads.repeat_interleave(groups, 0).flatten(0, 1).T)
        keys = nn.init.orthogonal_(torch.empty_like(self.attn_k.weight))
        queries = keys.unflatten(0, (self.num_kv_heads, self.head_width)).repeat_interleave(groups, 0)
        self.attn_k.weight.mul_(0.5).add_(keys, alpha=0.5)
        self.attn_q.weight.mul_(0.5).add_(queries.flatten(0, 1), alpha=0.5)

    def attend(self, x_BTD: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        q = self._heads(self.attn_q(x_BTD), self.num_heads)
        k = self._heads(self.attn_k(x_BTD), self.num_kv_heads)
        v = self._heads(self.attn_v(x_BTD), self.num_kv_heads)
        groups = self.num_heads // self.num_kv_heads
        k, v = (t.repeat_interleave(groups, dim=1) for t in (rotate(k, cos, sin), v))
        y = F.scaled_dot_product_attention(rotate(q, cos, sin), k, v, is_causal=True)
        out: Tensor = self.attn_output(y.transpose(1, 2).flatten(2))
        return out

    def _heads(self, x_BTD: Tensor, num_heads: int) -> Tensor:
        return x_BTD.unflatten(-1, (num_heads, self.head_width)).transpose(1, 2)

    def forward(self, x_BTD: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x_BTD = x_BTD + self.attend(self.attn_norm(x_BTD), cos, sin)
        h = self.ffn_norm(x_BTD)
        out: Tensor = x_BTD + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))
        return out


class StoryModel(nn.Module):
    """Token ids [B, T] -> logits [B, T, vocab]. Input and output embedding are one tensor."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocab, shape.d_model)
        self.blk = nn.ModuleList(Layer(shape) for _ in range(shape.num_layers))
        self.output_norm = Norm(shape.d_model, shape.norm_eps)
        for name, table in zip(("cos", "sin"), rope_table(shape), strict=True):
            self.register_buffer(name, table, persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        """The embedding is as large as what the layers add to it, or they would drown the token in its context;
        the gain of the last norm makes the same tensor a head of modest logits."""
        nn.init.normal_(self.token_embd.weight)
        nn.init.constant_(self.output_norm.weight, 0.04)
        for layer in self.blk:
            layer.initialise(residual_scale=(2 * self.shape.num_layers) ** -0.5)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        length = tokens_BT.shape[1]
        cos, sin = self.cos[:length], self.sin[:length]
        x_BTD = self.token_embd(tokens_BT)
        for layer in self.blk:
            x_BTD = layer(x_BTD, cos, sin)
        return F.linear(self.output_norm(x_BTD), self.token_embd.weight)
