"""Small language models of random weights: of torch with a cache in buffers, and of ggml with caches of its own."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn
from torch.export import Dim
from torch.nn import functional as F

import ggml
from ggml import nn as ours

VOCAB, WIDTH, HEADS, LAYERS, CONTEXT = 261, 32, 4, 2, 48
HEAD_WIDTH = WIDTH // HEADS


class Block(nn.Module):
    def __init__(self, batch: int) -> None:
        super().__init__()
        self.norm, self.norm_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.into, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.feed = nn.Sequential(nn.Linear(WIDTH, 64), nn.GELU(), nn.Linear(64, WIDTH))
        if batch:
            self.register_buffer("keys", torch.zeros(batch, HEADS, CONTEXT, HEAD_WIDTH))
            self.register_buffer("values", torch.zeros(batch, HEADS, CONTEXT, HEAD_WIDTH))

    def forward(self, x: Any, positions: Any) -> Any:
        parts = self.into(self.norm(x)).reshape(x.shape[0], x.shape[1], 3, HEADS, HEAD_WIDTH).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        if positions is None:
            seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        else:
            key, value = self.keys.index_copy_(2, positions, key), self.values.index_copy_(2, positions, value)
            mask = torch.arange(CONTEXT)[None, :] <= positions[:, None]
            seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = x + self.out(seen.transpose(1, 2).reshape(x.shape))
        return x + self.feed(self.norm_2(x))


class Language(nn.Module):
    """Logits of token ids; with ``batch`` it keeps keys and values for so many texts, and takes positions."""

    def __init__(self, batch: int = 0) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.tokens, self.places = nn.Embedding(VOCAB, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList([Block(batch) for _ in range(LAYERS)])
        self.head = nn.Linear(WIDTH, VOCAB)
        for weight in self.parameters():
            nn.init.normal_(weight, std=0.3)

    def forward(self, input_ids: Any, cache_position: Any = None) -> Any:
        places = torch.arange(input_ids.shape[1]) if cache_position is None else cache_position
        x = self.tokens(input_ids) + self.places(places)
        for block in self.blocks:
            x = block(x, cache_position)
        return self.head(x)


def program(batch: int, **options: Any) -> Any:
    """The model lowered: with a cache for ``batch`` texts, or without one."""
    count = Dim("count", min=1, max=CONTEXT)
    ids = torch.zeros((batch or 2, 3), dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about torch
        if not batch:
            shapes: Any = ({0: Dim("batch", min=1, max=8), 1: count},)
            exported = torch.export.export(Language().eval(), (ids,), dynamic_shapes=shapes)
        else:
            shapes = ({1: count}, {0: count})
            exported = torch.export.export(Language(batch).eval(), (ids, torch.arange(3)), dynamic_shapes=shapes)
    return ggml.export.lower(exported, **{"require": "ggml", **options})


class Module(ours.Module):
    """The same model of ggml, with the same weights, and with ``KVCache`` where ``batch`` says for how many texts."""

    def __init__(self, batch: int = 0) -> None:
        super().__init__()
        self.tokens, self.places = ours.Embedding(VOCAB, WIDTH), ours.Embedding(CONTEXT, WIDTH)
        layers = [
            {
                "norm": ours.LayerNorm(WIDTH),
                "norm_2": ours.LayerNorm(WIDTH),
                "into": ours.Linear(WIDTH, 3 * WIDTH),
                "out": ours.Linear(WIDTH, WIDTH),
                "feed": ours.Sequential(ours.Linear(WIDTH, 64), ours.GELU(), ours.Linear(64, WIDTH)),
            }
            for _ in range(LAYERS)
        ]
        self.blocks = ours.ModuleList([ours.ModuleDict(layer) for layer in layers])
        self.head = ours.Linear(WIDTH, VOCAB)
        self.caches = [ours.KVCache(batch, HEADS, CONTEXT, HEAD_WIDTH) for _ in range(LAYERS) if batch]
        weights = {name: ggml.from_dlpack(value.detach()) for name, value in Language().state_dict().items()}
        self.load_state_dict(weights)

    def forward(self, input_ids: Any, cache_position: Any = None) -> Any:
        places = ggml.arange(input_ids.shape[1]) if cache_position is None else cache_position
        x = self.tokens(input_ids) + self.places(places)
        for place, block in enumerate(self.blocks):
            parts = block["into"](block["norm"](x)).reshape(x.shape[0], x.shape[1], 3, HEADS, HEAD_WIDTH)
            query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
            mask = None
            if self.caches:
                key, value, positions = self.caches[place].update(key, value, cache_position)
                mask = self.caches[place].seen(positions)
            attend = ours.functional.scaled_dot_product_attention
            seen = attend(query, key, value, attn_mask=mask, is_causal=mask is None)
            x = x + block["out"](seen.transpose(1, 2).reshape(*x.shape))
            x = x + block["feed"](block["norm_2"](x))
        return self.head(x)


def greedy(model: Any, prompt: list[int], count: int) -> list[int]:
    """The whole text through torch for every token."""
    ids = torch.tensor([prompt])
    with torch.no_grad():
        for _ in range(count):
            ids = torch.cat([ids, model(ids)[:, -1].argmax(-1, keepdim=True)], 1)
    found: list[int] = ids[0, len(prompt) :].tolist()
    return found
