"""Weights that lowering quantises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

from torch import nn  # noqa: E402

import ggml  # noqa: E402
from tests.ggml.programs.test_lower import export  # noqa: E402


class Tied(nn.Module):
    """The head is the embedding; ``scale`` is a matrix that no product reads; ``odd`` has no whole blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(40, 64), nn.Linear(64, 40, bias=False)
        self.head.weight = self.embed.weight
        self.up, self.odd = nn.Linear(64, 33), nn.Linear(33, 64)
        self.scale = nn.Parameter(torch.ones(1, 64))

    def forward(self, ids: Any) -> Any:
        x = self.embed(ids)
        return self.head(x + self.odd(self.up(x * self.scale).relu()))


def test_products_and_embeddings_are_quantized(tmp_path: Path) -> None:
    model, ids = Tied(), torch.randint(0, 40, (2, 5))
    program = ggml.export.lower(export(model, ids), quantization=ggml.q8_0)
    kinds = {name: tensor.dtype.name for name, tensor in program.weights.items()}
    assert kinds.pop("embed.weight") == kinds.pop("up.weight") == "q8_0"
    assert set(kinds) == {"up.bias", "odd.weight", "odd.bias", "scale"}
    assert set(kinds.values()) == {"float32"}
    wanted = model(ids)
    error = (torch.from_dlpack(program(ids)) - wanted).abs().max() / wanted.abs().max()
    assert 0 < error < 0.02
    program.save(tmp_path / "small.ggp")
    again = ggml.load_program(tmp_path / "small.ggp")
    assert again.weights["up.weight"].dtype is ggml.q8_0
    assert again(ids).tolist() == program(ids).tolist()


def test_nothing_to_quantize() -> None:
    exported = export(nn.Linear(6, 8), torch.ones(2, 6))
    with pytest.raises(ggml.ArgumentError, match="fits no weight"):
        ggml.export.lower(exported, quantization=ggml.q8_0)
    with pytest.raises(ggml.DTypeError):
        ggml.export.lower(exported, quantization=ggml.float16)
    with pytest.raises(ggml.DTypeError):
        ggml.export.lower(exported, quantization="q8_0")
