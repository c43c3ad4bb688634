"""Compiled steps of models whose gradients come together from several processes, with a stand-in for the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ggml
from ggml import nn
from ggml.nn import functional as F


class Doubling(nn.Module):
    """As if another process had the same gradients, and the sum were wanted."""

    def __init__(self, inner: nn.Module, is_early: bool = True, fails: bool = False) -> None:
        super().__init__()
        self.inner = inner
        self.is_early, self.fails = is_early, fails
        self.found: dict[int, Any] = {}
        self.num_early, self.num_abandoned = 0, 0

    def forward(self, x: ggml.Tensor) -> Any:
        return self.inner(x)

    def begin_reduction(self) -> Doubling:
        self.found.clear()
        return self

    def has(self, parameter: ggml.Tensor) -> bool:
        return any(parameter is one for one in self.parameters())

    def put(self, parameter: ggml.Tensor, raw: bytes | memoryview) -> None:
        self.num_early += 1
        self.found[id(parameter)] = ggml.tensor(np.frombuffer(raw, np.float32).copy()).reshape(parameter.shape)

    def offer(self, parameter: ggml.Tensor, gradient: ggml.Tensor | None) -> None:
        self.found.setdefault(id(parameter), gradient)

    def finish(self) -> list[Any]:
        if self.fails:
            raise ConnectionError("the other process is gone")
        return [(one, self.found[id(one)] * 2) for one in self.parameters()]

    def abandon(self) -> None:
        self.num_abandoned += 1


class Scaled(nn.Module):
    """A loss with a parameter of its own, which no other process has."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(ggml.ones(()))

    def forward(self, output: ggml.Tensor, target: ggml.Tensor) -> ggml.Tensor:
        return F.cross_entropy(output * self.scale, target)


def _parts() -> tuple[nn.Module, Scaled, ggml.Tensor, ggml.Tensor]:
    ggml.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.BatchNorm1d(8), nn.Linear(8, 3))
    return model, Scaled(), ggml.randn(10, 4), ggml.randint(0, 3, (10,))


@pytest.mark.parametrize("is_early", [True, False])
@pytest.mark.parametrize("max_norm", [None, 0.1])
def test_the_update_takes_what_has_become_of_the_gradients(is_early: bool, max_norm: float | None) -> None:
    model, loss, x, y = _parts()
    whole = Doubling(model, is_early)
    params = [*model.parameters(), *loss.parameters()]
    step = ggml.compile_step(whole, loss, ggml.optim.AdamW(params, lr=0.05), max_norm=max_norm)
    losses = [step(x, y).item() for _ in range(4)]
    assert step.num_recordings == 1
    assert whole.num_early == (24 if is_early else 0)
    plain, other, _, _ = _parts()
    optimizer = ggml.optim.AdamW([*plain.parameters(), *other.parameters()], lr=0.05)
    for wanted in losses:
        optimizer.zero_grad()
        value = other(plain(x), y)
        value.backward()
        assert value.item() == wanted
        for param in plain.parameters():
            assert param.grad is not None
            param.grad = param.grad * 2
        if max_norm is not None:
            nn.utils.clip_grad_norm_([*plain.parameters(), *other.parameters()], max_norm)
        optimizer.step()
    for mine, theirs in zip([*model.state_dict().values(), loss.scale], [*plain.state_dict().values(), other.scale],
                            strict=True):  # fmt: skip
        np.testing.assert_array_equal(mine.detach().numpy(), theirs.detach().numpy())


def test_a_step_that_fails_on_the_way_changes_nothing() -> None:
    model, loss, x, y = _parts()
    whole = Doubling(model, fails=True)
    optimizer = ggml.optim.AdamW(model.parameters(), lr=0.05)
    before = [one.numpy().copy() for one in model.state_dict().values()]
    step = ggml.compile_step(whole, loss, optimizer)
    for number in (1, 2):
        with pytest.raises(ConnectionError):
            step(x, y)
        assert whole.num_abandoned == number
    assert not optimizer.state
    for one, wanted in zip(model.state_dict().values(), before, strict=True):
        np.testing.assert_array_equal(one.numpy(), wanted)
    whole.fails = False
    step(x, y)
    assert whole.num_abandoned == 2


def test_one_module_reduces() -> None:
    model, loss, x, y = _parts()
    twice = nn.Sequential(Doubling(nn.Linear(4, 4)), Doubling(model))
    with pytest.raises(ggml.TracingError, match="2 modules average their gradients"):
        ggml.compile_step(twice, loss, ggml.optim.SGD(model.parameters()))(x, y)
