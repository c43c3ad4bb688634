"""Parts of language models in plain torch.nn, written as model code usually is."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RMSNorm(nn.Module):
    """As models write it out; ``adds_one`` is Gemma's way."""

    def __init__(self, width: int, adds_one: bool = False) -> None:
        super().__init__()
        self.weight, self.adds_one = nn.Parameter(torch.randn(width)), adds_one

    def forward(self, x: Tensor) -> Tensor:
        rows = x.float()
        rows = rows * torch.rsqrt(rows.pow(2).mean(-1, keepdim=True) + 1e-5)
        return (rows * (1 + self.weight.float())).type_as(x) if self.adds_one else self.weight * rows.to(x.dtype)


def rotate_half(x: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return torch.cat((-x[..., half:], x[..., :half]), dim=-1)


def repeat_heads(x: Tensor, times: int) -> Tensor:
    batch, heads, length, width = x.shape
    return x[:, :, None].expand(batch, heads, times, length, width).reshape(batch, heads * times, length, width)


class Decoder(nn.Module):
    """One layer over a cache [1, heads, capacity, width] of keys and values."""

    def __init__(self, width: int = 32, num_heads: int = 4, num_groups: int = 2, capacity: int = 16) -> None:
        super().__init__()
        self.num_heads, self.num_groups, self.head = num_heads, num_groups, width // num_heads
        self.norm1, self.norm2 = RMSNorm(width), RMSNorm(width)
        self.query, self.out = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.key, self.value = (nn.Linear(width, num_groups * self.head, bias=False) for _ in range(2))
        self.gate, self.up = (nn.Linear(width, 2 * width, bias=False) for _ in range(2))
        self.down = nn.Linear(2 * width, width, bias=False)
        self.register_buffer("frequencies", 10000.0 ** (-torch.arange(0, self.head, 2) / self.head))
        for name in ("keys", "values"):
            self.register_buffer(name, torch.zeros(1, num_groups, capacity, self.head))

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        _, length, width = x.shape
        angles = positions[:, None].float() * self.frequencies
        angles = torch.cat((angles, angles), -1)
        cos, sin = angles.cos(), angles.sin()
        rows = self.norm1(x)
        query = self.query(rows).view(1, length, self.num_heads, self.head).transpose(1, 2)
        key = self.key(rows).view(1, length, self.num_groups, self.head).transpose(1, 2)
        value = self.value(rows).view(1, length, self.num_groups, self.head).transpose(1, 2)
        query, key = query * cos + rotate_half(query) * sin, key * cos + rotate_half(key) * sin
        self.keys.index_copy_(2, positions, key)
        self.values.index_copy_(2, positions, value)
        times = self.num_heads // self.num_groups
        seen = torch.arange(self.keys.shape[2]) <= positions[:, None]
        mixed = F.scaled_dot_product_attention(
            query, repeat_heads(self.keys, times), repeat_heads(self.values, times), seen
        )
        x = x + self.out(mixed.transpose(1, 2).reshape(1, length, width))
        rows = self.norm2(x)
        return x + self.down(F.silu(self.gate(rows)) * self.up(rows))
