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
    more = {"momentum": 0.9} if name == "SGD" else {}
    optimizer = getattr(library.optim, name)(model.parameters(), lr=rate, **more)
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


NETS = (mlp, conv_net, recurrent, transformer)
RATES = {"SGD": 0.01, "Adam": 1e-3, "AdamW": 1e-3, "RMSprop": 1e-4}

#: One of each net and of each optimiser runs always; all sixteen are slow.
ALWAYS = {("mlp", "SGD"), ("conv_net", "RMSprop"), ("recurrent", "Adam"), ("transformer", "AdamW")}


@pytest.mark.parametrize(
    ("make", "name"),
    [
        pytest.param(
            make, name, id=f"{make.__name__}-{name}", marks=() if (make.__name__, name) in ALWAYS else pytest.mark.slow
        )
        for make in NETS
        for name in RATES
    ],
)
def test_loss_curve_equals_torch(make: Callable[[Any], Any], name: str) -> None:
    torch.manual_seed(0)
    weights = {key: value.numpy().copy() for key, value in make(torch).state_dict().items()}
    threads = ggml.get_num_threads()
    ggml.set_num_threads(1)  # the nets are small, and other tests compute, too
    wanted = np.array(curve(torch, make, name, weights, RATES[name]))
    found = np.array(curve(ggml, make, name, weights, RATES[name]))
    ggml.set_num_threads(threads)
    assert (np.abs(found - wanted) <= 1e-4 * np.maximum(1, wanted)).all(), np.abs(found - wanted).max()
    assert np.mean(found[-20:]) < np.mean(found[:20])
