"""200 steps of training have PyTorch's loss curve: the same weights and batches on both sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ggml
from tests.ggml.both import torch

_STEPS = 200


def mlp(library: Any) -> Any:
    nn = library.nn
    return nn.Sequential(nn.Linear(12, 32), nn.GELU(), nn.LayerNorm(32), nn.Linear(32, 5))


def conv_net(library: Any) -> Any:
    nn = library.nn
    return nn.Sequential(
        nn.Unflatten(1, (1, 3, 4)), nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(),
        nn.MaxPool2d(2, 2, (1, 0)),
        nn.Flatten(), nn.Linear(24, 5),
    )  # fmt: skip


def recurrent(library: Any) -> Any:
    class Net(library.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.lstm = library.nn.LSTM(3, 8, batch_first=True)
            self.head = library.nn.Linear(8, 5)

        def forward(self, x: Any) -> Any:
            return self.head(self.lstm(x.reshape(-1, 4, 3))[0][:, -1])

    return Net()


def transformer(library: Any) -> Any:
    class Net(library.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            nn = library.nn
            self.embed = nn.Linear(3, 8)
            self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
            self.head = nn.Linear(8, 5)

        def forward(self, x: Any) -> Any:
            return self.head(self.block(self.embed(x.reshape(-1, 4, 3))).mean(1))

    return Net()


def curve(library: Any, make: Callable[[Any], Any], name: str, weights: dict[str, Any], rate: float) -> list[float]:
    model = make(library)
    model.load_state_dict({key: library.tensor(value) for key, value in weights.items()})
    optimizer = getattr(library.optim, name)(model.parameters(), lr=rate)
    rng, seen = np.random.default_rng(0), []
    truth = rng.standard_normal((12, 5)).astype(np.float32)
    for _ in range(_STEPS):
        x = rng.standard_normal((16, 12)).astype(np.float32)
        y = (x @ truth).argmax(1)
        optimizer.zero_grad()
        loss = library.nn.functional.cross_entropy(model(library.tensor(x)), library.tensor(y))
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    return seen


@pytest.mark.parametrize(
    ("make", "name", "rate"),
    [
        (mlp, "SGD", 0.05),
        (mlp, "Adam", 1e-3),
        (conv_net, "RMSprop", 1e-4),
        (recurrent, "AdamW", 1e-3),
        (transformer, "AdamW", 1e-3),
    ],
    ids=lambda one: getattr(one, "__name__", str(one)),
)
def test_loss_curve_equals_torch(make: Callable[[Any], Any], name: str, rate: float) -> None:
    torch.manual_seed(0)
    weights = {key: value.numpy().copy() for key, value in make(torch).state_dict().items()}
    wanted = curve(torch, make, name, weights, rate)
    found = curve(ggml, make, name, weights, rate)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    assert np.mean(found[-20:]) < np.mean(found[:20])
