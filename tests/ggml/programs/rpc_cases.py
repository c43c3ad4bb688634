"""What test_devices.py runs: programs on an RPC server on loopback, a second device with memory of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ggml
from ggml import backend
from tests.ggml.generation import models
from tests.ggml.programs.test_lower import BATCH, Attention, close, convnet, export, mlp
from tests.ggml.programs.test_mixed import Airy

(REMOTE,) = backend.add_rpc_server(os.environ["GGML_RPC_ENDPOINT"])


@pytest.mark.parametrize(
    ("make", "shape"), [(mlp, (6,)), (convnet, (3, 8, 8)), (Attention, (7, 16)), (Airy, (6,))],
    ids=["mlp", "convnet", "attention", "mixed"],
)  # fmt: skip
def test_models(make: Any, shape: tuple[int, ...]) -> None:
    model = make()
    program = ggml.export.lower(export(model, torch.randn(2, *shape), shapes=({0: BATCH},)), device="rpc")
    assert program.device == REMOTE
    for batch in (2, 3):
        x = torch.randn(batch, *shape)
        close(program(x).cpu(), model(x))


def test_tensors_that_the_graph_makes() -> None:
    class Made(nn.Module):
        def forward(self, x: Any) -> Any:
            places = torch.arange(x.shape[0])[:, None] + torch.full((1, 3), 2)
            return x * places + torch.tril(torch.ones(x.shape[0], 3)), torch.zeros(2, 2) + 1

    program = ggml.export.lower(export(Made(), torch.randn(3, 3), shapes=({0: BATCH},)), require="ggml")
    there = program.to(REMOTE)
    x = torch.randn(4, 3)
    for found, wanted in zip(there(x), Made()(x), strict=True):
        close(found.cpu(), wanted)


def test_quantised_weights_and_files(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Embedding(8, 64), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))
    ids = torch.tensor([[1, 2, 7]])
    program = ggml.export.lower(export(model, ids), quantization=ggml.q8_0, device=REMOTE)
    here = program.to("cpu")
    np.testing.assert_allclose(program(ids).cpu().numpy(), here(ids).numpy(), atol=1e-3)
    program.save(tmp_path / "model.ggp")
    again = ggml.load_program(tmp_path / "model.ggp", device="rpc:0")
    assert again.weights["1.weight"].device == REMOTE
    np.testing.assert_array_equal(again(ids).cpu().numpy(), program(ids).cpu().numpy())


def test_states_move_as_they_are_and_texts_are_the_same() -> None:
    program = models.program(1)
    prompt = [[5, 9, 200, 31]]
    params = ggml.SamplingParams(max_tokens=6, temperature=0.0)
    here = ggml.generate(program, prompt, params)
    there = program.to(REMOTE)
    assert there is not program
    assert there.to("rpc") is there
    for name, state in program.state.items():
        np.testing.assert_array_equal(there.state[name].cpu().numpy(), state.numpy())
    assert ggml.generate(there, prompt, params)[0].tokens == here[0].tokens
    there.reset()
    assert all((state.cpu() == 0).all() for state in there.state.values())
