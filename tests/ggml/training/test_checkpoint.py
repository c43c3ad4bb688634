"""Checkpoints in a compiled step: what lies between is computed again, and is not kept until then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import ggml
from ggml import nn
from ggml.utils.checkpoint import checkpoint
from tests.ggml.training.loops import assert_same, loop, losses

WIDTH, LAYERS, ROWS = 32, 8, 128


class _Deep(nn.Module):
    """Layers that widen their input, and dropout in each."""

    def __init__(self, checkpoints: bool) -> None:
        super().__init__()
        self.checkpoints = checkpoints
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, 8 * WIDTH), nn.GELU(), nn.Dropout(0.2), nn.Linear(8 * WIDTH, WIDTH))
            for _ in range(LAYERS)
        )

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = x + (checkpoint(layer, x) if self.checkpoints else layer(x))
        return x


def _batch(rng: np.random.Generator) -> Any:
    return rng.standard_normal((ROWS, WIDTH), np.float32), rng.integers(0, WIDTH, ROWS)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = ggml.get_num_threads()
    ggml.set_num_threads(1)
    yield
    ggml.set_num_threads(before)


def test_losses_are_those_of_the_loop_and_memory_is_less() -> None:
    found, models, num_bytes = [], [], []
    for checkpoints, is_compiled in ((False, False), (True, False), (True, True), (False, True)):
        ggml.manual_seed(1)
        model = _Deep(checkpoints)
        optimizer = ggml.optim.AdamW(model.parameters(), lr=1e-3)
        step: Any = loop(ggml, model, optimizer)
        if is_compiled:
            step = ggml.compile_step(model, nn.functional.cross_entropy, optimizer)
        found.append(losses(ggml, step, _batch, 2))
        models.append(model)
        if is_compiled:
            (recording,) = step._recordings.values()
            num_bytes.append(recording.num_bytes)
    assert found[1] == found[2] and found[0] == found[3]
    assert_same(models[1], models[2])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)
    assert num_bytes[0] < num_bytes[1] * 0.6


def test_recordings_of_large_models_make_room_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ggml.training.step._MAX_BYTES", 1 << 20)
    model = nn.Linear(64, 64)
    step = ggml.compile_step(model, nn.functional.cross_entropy, ggml.optim.SGD(model.parameters(), lr=0.1))
    numbers = []
    for rows in (5000, 6000, 4, 8, 7000, 6000):
        step(ggml.zeros(rows, 64), ggml.zeros(rows, dtype=ggml.int64))
        numbers.append(step.num_recordings)
    assert numbers == [1, 1, 1, 2, 3, 1]
