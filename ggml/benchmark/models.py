"""Models of usual sizes with random weights, in plain torch.nn: what the figures for programs are measured on."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ggml.benchmark.shapes import LlamaShape

NUM_CLASSES = 1000


class Bottleneck(nn.Module):  # type: ignore[misc]
    """ResNet's block of three convolutions, with the stride in the middle one."""

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        out = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(inside, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inside != out:
            self.shortcut = nn.Sequential(nn.Conv2d(inside, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.shortcut(x))


def resnet50() -> nn.Module:
    """Images [N, 3, 224, 224] to classes: 25.6 million weights, 4.1 billion multiplications an image."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    layers.append(nn.MaxPool2d(3, 2, 1))
    inside = 64
    for stage, count in enumerate((3, 4, 6, 3)):
        for place in range(count):
            width = 64 << stage
            layers.append(Bottleneck(inside, width, 2 if stage and place == 0 else 1))
            inside = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inside, NUM_CLASSES))


class Attention(nn.Module):  # type: ignore[misc]
    """Attention of every token to every token."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        heads = [
            part(x).view(batch, length, self.num_heads, width // self.num_heads).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        ]
        mixed = F.scaled_dot_product_attention(*heads)
        return self.out(mixed.transpose(1, 2).reshape(batch, length, width))


class Encoder(nn.Module):  # type: ignore[misc]
    """A layer of a transformer: norms before its parts, as ViT has them, or behind, as BERT does."""

    def __init__(self, width: int, num_heads: int, eps: float, is_norm_first: bool) -> None:
        super().__init__()
        self.is_norm_first = is_norm_first
        self.attention = Attention(width, num_heads)
        self.norm1, self.norm2 = nn.LayerNorm(width, eps), nn.LayerNorm(width, eps)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        if self.is_norm_first:
            x = x + self.attention(self.norm1(x))
            return x + self.down(F.gelu(self.up(self.norm2(x))))
        x = self.norm1(x + self.attention(x))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class ViT(nn.Module):  # type: ignore[misc]
    """ViT-B/16: images [N, 3, 224, 224] to classes, 86 million weights."""

    def __init__(self, width: int = 768, num_layers: int = 12, num_heads: int = 12) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, 16)
        self.first = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.positions = nn.Parameter(torch.randn(1, 1 + 14 * 14, width) * 0.02)
        self.layers = nn.Sequential(*[Encoder(width, num_heads, 1e-6, True) for _ in range(num_layers)])
        self.norm, self.head = nn.LayerNorm(width, 1e-6), nn.Linear(width, NUM_CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        patches = self.patches(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(len(patches), -1, -1), patches], 1) + self.positions
        return self.head(self.norm(self.layers(x))[:, 0])


class BERT(nn.Module):  # type: ignore[misc]
    """BERT-base: tokens [N, T] to their features [N, T, 768], 109 million weights."""

    def __init__(self, width: int = 768, num_layers: int = 12, num_heads: int = 12, vocabulary: int = 30522) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(512, width)
        self.norm = nn.LayerNorm(width, 1e-12)
        self.layers = nn.Sequential(*[Encoder(width, num_heads, 1e-12, False) for _ in range(num_layers)])

    def forward(self, tokens: Tensor) -> Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        return self.layers(self.norm(self.tokens(tokens) + self.places(places)))


class RMSNorm(nn.Module):  # type: ignore[misc]
    """Written out, as models of transformers do."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5))


def rotate_half(x: Tensor) -> Tensor:
    """The second half of a row with its sign changed, and then the first."""
    half = x.shape[-1] // 2
    return torch.cat((-x[..., half:], x[..., :half]), dim=-1)


class Layer(nn.Module):  # type: ignore[misc]
    """A layer of Llama over a cache [1, heads, capacity, width] of keys and values."""

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        width, small = shape.width, shape.num_groups * shape.head
        self.shape = shape
        self.norm1, self.norm2 = RMSNorm(width), RMSNorm(width)
        self.query, self.out = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.key, self.value = nn.Linear(width, small, bias=False), nn.Linear(width, small, bias=False)
        self.gate, self.up = (nn.Linear(width, shape.inner, bias=False) for _ in range(2))
        self.down = nn.Linear(shape.inner, width, bias=False)
        for name in ("keys", "values"):
            self.register_buffer(name, torch.zeros(1, shape.num_groups, shape.capacity, shape.head))

    def forward(self, x: Tensor, positions: Tensor, cos: Tensor, sin: Tensor, seen: Tensor) -> Tensor:
        _, length, width = x.shape
        head, times = self.shape.head, self.shape.num_heads // self.shape.num_groups
        rows = self.norm1(x)
        query, key, value = (
            part(rows).view(1, length, -1, head).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        query, key = query * cos + rotate_half(query) * sin, key * cos + rotate_half(key) * sin
        self.keys.index_copy_(2, positions, key)
        self.values.index_copy_(2, positions, value)
        keys, values = (part.repeat_interleave(times, 1) for part in (self.keys, self.values))
        mixed = F.scaled_dot_product_attention(query, keys, values, seen)
        x = x + self.out(mixed.transpose(1, 2).reshape(1, length, width))
        rows = self.norm2(x)
        return x + self.down(F.silu(self.gate(rows)) * self.up(rows))


class Llama(nn.Module):  # type: ignore[misc]
    """Tokens [1, T] at positions [T] to the logits [1, 1, vocabulary] behind the last of them."""

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.shape = shape
        self.tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList([Layer(shape) for _ in range(shape.num_layers)])
        self.norm, self.head = RMSNorm(shape.width), nn.Linear(shape.width, shape.vocabulary, bias=False)
        self.register_buffer("frequencies", 10000.0 ** (-torch.arange(0, shape.head, 2) / shape.head))

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        angles = positions[:, None].float() * self.frequencies
        angles = torch.cat((angles, angles), -1)
        cos, sin = angles.cos(), angles.sin()
        seen = torch.arange(self.shape.capacity) <= positions[:, None]
        x = self.tokens(tokens)
        for layer in self.layers:
            x = layer(x, positions, cos, sin, seen)
        return self.head(self.norm(x[:, -1:]))
