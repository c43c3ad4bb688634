"""The example of patterns fine-tunes what torchvision made and PyTorch saved."""

from __future__ import annotations

from pathlib import Path

import pytest

from ggml.examples import patterns
from tests.ggml.both import torch
from tests.ggml.torchvision_ops import make_importable

make_importable()
theirs = pytest.importorskip(
    "torchvision.models", reason="torchvision is not installed: pip install 'ggml-cluster[zoo]'"
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "resnet18.pt"
    torch.save(theirs.resnet18().state_dict(), path)
    return str(path)


def test_a_new_last_layer_learns(weights: str) -> None:
    before, after = patterns.train(
        weights, patterns.patterns(160, 0), patterns.patterns(48, 1), 2, True, lambda line: None
    )
    assert before < 0.5
    assert after > 0.6  # of three classes, by what random weights see


@pytest.mark.slow
def test_the_whole_net_learns(weights: str) -> None:
    before, after = patterns.train(weights, patterns.patterns(320, 0), patterns.patterns(96, 1), 2)
    assert before < 0.6
    assert after > 0.95


def test_a_file_of_another_model_is_an_error(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="missing keys"):
        patterns.pretrained(str(tmp_path / "other.pt"), 3)
