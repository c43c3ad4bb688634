"""Networks for tokens."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.ggml.zoo.models import Arguments, Entry

VOCABULARY = 50


class Bert(nn.Module):
    """Three sums of embeddings, a mask of padding that is added, a pooled first token."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(VOCABULARY, 32, padding_idx=0), nn.Embedding(64, 32)
        self.kinds, self.norm = nn.Embedding(2, 32), nn.LayerNorm(32, eps=1e-12)
        self.register_buffer("position_ids", torch.arange(64).expand(1, -1), persistent=False)
        self.layers = nn.ModuleList([BertLayer() for _ in range(2)])
        self.pooler = nn.Linear(32, 32)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        length = ids.shape[1]
        x = self.words(ids) + self.places(self.position_ids[:, :length]) + self.kinds(torch.zeros_like(ids))
        x = self.norm(x)
        added = (1.0 - mask[:, None, None, :].to(x.dtype)) * torch.finfo(x.dtype).min
        for layer in self.layers:
            x = layer(x, added)
        return x, torch.tanh(self.pooler(x[:, 0]))


class BertLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(32, 32) for _ in range(4))
        self.norm1, self.norm2 = nn.LayerNorm(32), nn.LayerNorm(32)
        self.up, self.down = nn.Linear(32, 64), nn.Linear(64, 32)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        def heads(y: Tensor) -> Tensor:
            return y.view(*y.shape[:-1], 4, 8).permute(0, 2, 1, 3)

        scores = heads(self.query(x)) @ heads(self.key(x)).transpose(-1, -2) / math.sqrt(8) + mask
        mixed = (F.dropout(scores.softmax(-1), 0.1, self.training) @ heads(self.value(x))).permute(0, 2, 1, 3)
        x = self.norm1(x + self.out(mixed.contiguous().view(*x.shape)))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class Gpt2(nn.Module):
    """One product for queries, keys and values; a causal mask in a buffer; the head is the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(VOCABULARY, 32), nn.Embedding(64, 32)
        self.ln1, self.ln2, self.ln = nn.LayerNorm(32), nn.LayerNorm(32), nn.LayerNorm(32)
        self.attn, self.proj = nn.Linear(32, 96), nn.Linear(32, 32)
        self.up, self.down = nn.Linear(32, 128), nn.Linear(128, 32)
        self.head = nn.Linear(32, VOCABULARY, bias=False)
        self.head.weight = self.wte.weight
        self.register_buffer("bias", torch.tril(torch.ones(64, 64, dtype=torch.bool)).view(1, 1, 64, 64))

    def forward(self, ids: Tensor) -> Tensor:
        batch, length = ids.shape
        x = self.wte(ids) + self.wpe(torch.arange(length, device=ids.device))
        q, k, v = self.attn(self.ln1(x)).split(32, dim=2)
        q, k, v = (part.view(batch, length, 4, 8).transpose(1, 2) for part in (q, k, v))
        scores = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(8))
        scores = scores.masked_fill(~self.bias[:, :, :length, :length], float("-inf"))
        x = x + self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, 32))
        return self.head(self.ln(x + self.down(F.gelu(self.up(self.ln2(x)), approximate="tanh"))))


class RmsNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(32))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.to(torch.float32)
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)
        return self.weight * wide.to(x.dtype)


class Llama(nn.Module):
    """RoPE, groups of queries that share keys, a gated feed-forward, RMS norms."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(VOCABULARY, 32), nn.Linear(32, VOCABULARY, bias=False)
        self.norm1, self.norm2, self.norm = RmsNorm(), RmsNorm(), nn.RMSNorm(32, eps=1e-6)
        self.q, self.k, self.v = (nn.Linear(32, width, bias=False) for width in (32, 16, 16))
        self.o = nn.Linear(32, 32, bias=False)
        self.gate, self.up, self.down = (nn.Linear(*size, bias=False) for size in ((32, 64), (32, 64), (64, 32)))
        self.register_buffer("inv_freq", 1.0 / (10000 ** (torch.arange(0, 8, 2).float() / 8)), persistent=False)

    @staticmethod
    def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        first, second = x[..., :4], x[..., 4:]
        return x * cos + torch.cat((-second, first), dim=-1) * sin

    def forward(self, ids: Tensor) -> Tensor:
        batch, length = ids.shape
        x = self.embed(ids)
        places = torch.arange(length, device=ids.device).unsqueeze(0)
        angles = (self.inv_freq[None, :, None] @ places[:, None, :].float()).transpose(1, 2)
        cos, sin = (torch.cat((part, part), -1)[:, None] for part in (angles.cos(), angles.sin()))
        y = self.norm1(x)
        q = self._turned(self.q(y).view(batch, length, 4, 8).transpose(1, 2), cos, sin)
        k = self._turned(self.k(y).view(batch, length, 2, 8).transpose(1, 2), cos, sin)
        v = self.v(y).view(batch, length, 2, 8).transpose(1, 2)
        k, v = (one[:, :, None].expand(batch, 2, 2, length, 8).reshape(batch, 4, length, 8) for one in (k, v))
        mask = torch.full((length, length), float("-inf")).triu(1)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.o(mixed.transpose(1, 2).reshape(batch, length, 32))
        y = self.norm2(x)
        return self.head(self.norm(x + self.down(F.silu(self.gate(y)) * self.up(y))))


class Seq2Seq(nn.Module):
    """``nn.Transformer`` with a causal mask for the target."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = nn.Transformer(32, 4, 2, 2, 64, batch_first=True)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        return self.transformer(source, target, tgt_mask=mask, tgt_is_causal=True)


class RecurrentLm(nn.Module):
    """An embedding, two recurrent layers, one of them in both directions, a head."""

    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, 16)
        self.first = kind(16, 24, num_layers=2, batch_first=True, dropout=0.1)
        self.second = kind(24, 12, batch_first=True, bidirectional=True)
        self.head = nn.Linear(24, VOCABULARY)

    def forward(self, ids: Tensor) -> Tensor:
        x, _ = self.first(self.embed(ids))
        x, _ = self.second(x)
        return self.head(x)


def _ids(batch: int, length: int = 9) -> Tensor:
    return torch.randint(1, VOCABULARY, (batch, length))


def _with_mask(batch: int) -> Arguments:
    mask = torch.ones(batch, 9, dtype=torch.int64)
    mask[0, 6:] = 0
    return _ids(batch), mask


_LONG = {0: "batch", 1: "length"}

ENTRIES = [
    Entry("BERT", Bert, _with_mask, (_LONG, _LONG)),
    Entry("GPT-2", Gpt2, lambda batch: (_ids(batch, 7 + batch),), (_LONG,)),
    Entry("Llama", Llama, lambda batch: (_ids(batch, 7 + batch),), (_LONG,)),
    Entry(
        "nn.Transformer",
        Seq2Seq,
        lambda batch: (torch.randn(batch, 6 + batch, 32), torch.randn(batch, 4 + batch, 32)),
        ({0: "batch", 1: "source"}, {0: "batch", 1: "target"}),
    ),
    Entry("LSTM language model", lambda: RecurrentLm(nn.LSTM), lambda batch: (_ids(batch),)),
    Entry("GRU language model", lambda: RecurrentLm(nn.GRU), lambda batch: (_ids(batch),)),
]
