"""What a compiled step cannot do is said, and leaves model and optimiser as they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ggml
from ggml import nn
from tests.ggml.training.loops import loop, values
from tests.ggml.training.nets import mlp, vectors

F = nn.functional


def test_what_reads_values_is_told_to_use_the_loop() -> None:
    class Reading(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(12, 5)

        def forward(self, x: Any) -> Any:
            return self.inner(x) if self.inner.weight.sum() > 100 else self.inner(x) * 2

    model = Reading()
    optimizer = ggml.optim.Adam(model.parameters())
    before, (x, y) = values(model), (ggml.tensor(one) for one in vectors(np.random.default_rng(0)))
    with pytest.raises(ggml.TracingError, match=r"Reading, the loss or Adam asks for a value.*plain loop"):
        ggml.compile_step(model, F.cross_entropy, optimizer)(x, y)
    np.testing.assert_array_equal(model.inner.weight.detach().numpy(), before["inner.weight"])
    assert optimizer.state == {}
    assert loop(ggml, model, optimizer)(x, y).item() > 0

    class Own(ggml.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            return None

    with pytest.raises(ggml.TracingError, match="Own has a step of its own"):
        ggml.compile_step(model, F.cross_entropy, Own(model.parameters()))


def test_wrong_arguments_are_refused() -> None:
    model = mlp(ggml)
    optimizer = ggml.optim.SGD(model.parameters(), lr=0.1)
    x, y = (ggml.tensor(one) for one in vectors(np.random.default_rng(0)))
    with pytest.raises(ggml.ArgumentError, match="max_norm"):
        ggml.compile_step(model, F.cross_entropy, optimizer, max_norm=0)
    with pytest.raises(ggml.DTypeError, match="optimizer"):
        ggml.compile_step(model, F.cross_entropy, 3)  # type: ignore[arg-type]
    with pytest.raises(ggml.DTypeError, match="Module"):
        ggml.compile_step(F.relu, F.cross_entropy, optimizer)
    with pytest.raises(ggml.ArgumentError, match="needs the arguments"):
        ggml.compile_step(model, F.cross_entropy, optimizer)()
    with pytest.raises(ggml.GradientError, match="gradient"):
        ggml.compile_step(model, lambda out, _: out, optimizer)(x, y)
    with pytest.raises(ggml.IndexOutOfRangeError):
        ggml.compile_step(model, F.cross_entropy, ggml.optim.Adam(model.parameters()))(x, y + 7)


def test_a_step_that_fails_counts_as_none() -> None:
    model = mlp(ggml)
    optimizer = ggml.optim.Adam(model.parameters())
    step = ggml.compile_step(model, F.cross_entropy, optimizer)
    x, y = (ggml.tensor(one) for one in vectors(np.random.default_rng(0)))
    step(x, y)
    weights = values(model)
    with pytest.raises(ggml.IndexOutOfRangeError):
        step(x, y + 7)
    assert optimizer.state[model[0].weight]["step"] == 1
    for name, value in values(model).items():
        np.testing.assert_array_equal(value, weights[name])


def test_what_the_model_changes_and_does_not_own_is_refused() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(12, 5)
            self.seen = [ggml.zeros(12)]

        def forward(self, x: Any) -> Any:
            self.seen[0].add_(x.detach().mean(0))
            return self.inner(x)

    model = Counting()
    x, y = (ggml.tensor(one) for one in vectors(np.random.default_rng(0)))
    with pytest.raises(ggml.TracingError, match="register_buffer"):
        ggml.compile_step(model, F.cross_entropy, ggml.optim.SGD(model.parameters()))(x, y)
    assert model.seen[0].tolist() == [0.0] * 12
