"""What is trained: written once, for ggml and for torch, which have the same names."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

RATE = 1e-3
VOCABULARY, WIDTH, HEADS, LAYERS, LENGTH = 512, 256, 8, 6, 128


class Batch(NamedTuple):
    """Inputs of a model, and the classes that it is to find."""

    x: NDArray[Any]
    y: NDArray[Any]


def mlp(library: Any) -> Any:
    """784-512-512-10."""
    nn = library.nn
    return nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )  # fmt: skip


def conv_net(library: Any) -> Any:
    """Images [N, 3, 32, 32] to ten classes."""
    nn = library.nn
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64 * 8 * 8, 10),
    )  # fmt: skip


def gpt(library: Any) -> Any:
    """Tokens [N, T] to the logits of the next ones [N * T, V]: six layers of width 256."""
    nn, functional = library.nn, library.nn.functional

    class Block(nn.Module):  # type: ignore[misc,name-defined]
        """Attention to what came before, and a feed-forward part, each behind a norm."""

        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.heads, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
            self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

        def forward(self, x: Any) -> Any:
            batch, length, width = x.shape
            parts = [
                part.reshape(batch, length, HEADS, width // HEADS).transpose(1, 2)
                for part in self.heads(self.norm1(x)).chunk(3, -1)
            ]
            mixed = functional.scaled_dot_product_attention(*parts, is_causal=True)
            x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
            return x + self.down(functional.gelu(self.up(self.norm2(x))))

    class Model(nn.Module):  # type: ignore[misc,name-defined]
        """Tokens and their places, the blocks, and a head."""

        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.places = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(LENGTH, WIDTH)
            self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
            self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY)

        def forward(self, tokens: Any) -> Any:
            x = self.tokens(tokens) + self.places(library.arange(tokens.shape[1]))
            return self.head(self.norm(self.blocks(x))).reshape(-1, VOCABULARY)

    return Model()


def batch(name: str) -> Batch:
    """The batch that is trained with again and again."""
    rng = np.random.default_rng(0)
    if name.startswith("MLP"):
        return Batch(rng.standard_normal((64, 784), np.float32), rng.integers(0, 10, 64))
    if name.startswith("conv"):
        return Batch(rng.standard_normal((32, 3, 32, 32), np.float32), rng.integers(0, 10, 32))
    text = rng.integers(0, VOCABULARY, (4, LENGTH + 1))
    return Batch(text[:, :-1].copy(), text[:, 1:].reshape(-1).copy())


MODELS = {"MLP 784-512-512-10, batch 64": mlp, "conv net 32x32, batch 32": conv_net, "GPT 6x256, 4x128 tokens": gpt}


def loop(library: Any, model: Any, optimizer: Any) -> Any:
    """The plain step: a function of a batch that returns the loss."""

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = library.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step
