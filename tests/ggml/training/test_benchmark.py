"""What the benchmark of training compares computes the same on all sides."""

from __future__ import annotations

import pytest

import ggml
from ggml.benchmark.training.models import MODELS, RATE, batch, loop
from tests.ggml.both import torch


@pytest.mark.parametrize("name", [name for name in MODELS if not name.startswith("MLP")])
def test_the_models_of_both_libraries_have_the_same_losses(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ggml.benchmark.training.models.LAYERS", 1)  # six take longer than a test may
    monkeypatch.setattr("ggml.benchmark.training.models.LENGTH", 16)
    theirs = MODELS[name](torch)
    ours = MODELS[name](ggml)
    ours.load_state_dict({key: ggml.tensor(value.numpy()) for key, value in theirs.state_dict().items()})
    x, y = batch(name)
    steps = (
        ggml.compile_step(ours, ggml.nn.functional.cross_entropy, ggml.optim.AdamW(ours.parameters(), lr=RATE)),
        loop(torch, theirs, torch.optim.AdamW(theirs.parameters(), lr=RATE)),
    )
    found = [
        [step(library.tensor(x), library.tensor(y)).item() for _ in range(2)]
        for library, step in zip((ggml, torch), steps, strict=True)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-4)
