"""Small models for both libraries, each with the arguments of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np

Batch = tuple[np.ndarray[Any, Any], ...]


def mlp(library: Any) -> Any:
    nn = library.nn
    return nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 5))


def conv_net(library: Any) -> Any:
    nn = library.nn
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5),
    )  # fmt: skip


def transformer(library: Any, dropout: float = 0.0) -> Any:
    nn = library.nn

    class Net(nn.Module):  # type: ignore[misc,name-defined]
        """Tokens [N, T] to the logits of the next ones [N * T, 11]."""

        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.places = nn.Embedding(11, 8), nn.Embedding(6, 8)
            self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=dropout, batch_first=True, norm_first=True)
            self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 11)

        def forward(self, tokens: Any) -> Any:
            length = tokens.shape[1]
            mask = library.full((length, length), float("-inf")).triu(1)
            x = self.block(self.tokens(tokens) + self.places(library.arange(length)), src_mask=mask)
            return self.head(self.norm(x)).reshape(-1, 11)

    return Net()


def vectors(rng: np.random.Generator) -> Batch:
    x = rng.standard_normal((16, 12)).astype(np.float32)
    return x, x[:, :5].argmax(1)


def images(rng: np.random.Generator) -> Batch:
    x = rng.standard_normal((4, 2, 6, 6)).astype(np.float32)
    return x, rng.integers(0, 5, 4)


def tokens(rng: np.random.Generator) -> Batch:
    text = rng.integers(0, 11, (3, 7))
    return text[:, :-1], text[:, 1:].reshape(-1)


NETS = {"mlp": (mlp, vectors), "conv": (conv_net, images), "transformer": (transformer, tokens)}
