"""`cluster cuts` lists the legal cuts, and why the other places are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cluster.cli.command import main
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.native.arch_models import write_model


def test_all_places_of_a_plain_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_tiny(tmp_path / "tiny.gguf", TinyModel("qwen3", num_layers=4))
    assert main(["cuts", str(path)]) == 0
    assert capsys.readouterr().out == "qwen3, 4 layers; it may be cut in front of 1-3\n"
    assert main(["cuts", str(path), "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {"architecture": "qwen3", "num_layers": 4, "cuts": [1, 2, 3], "refused": {}}


def test_places_with_a_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_model(tmp_path / "tiny.gguf", "ernie4_5-moe-moe")
    assert main(["cuts", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "ernie4_5-moe, 8 layers; it may be cut in front of 2, 4, 6",
        "not in front of 1, 3, 5, 7: its layers repeat every 2, counted from the beginning of a slice",
    ]
    assert main(["cuts", str(path), "-o", "json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["refused"]) == {"1", "3", "5", "7"}


def test_a_model_that_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_model(tmp_path / "tiny.gguf", "llada-dense")
    assert main(["cuts", str(path)]) == 2
    assert "architecture 'llada' cannot be cut: it is a diffusion model" in capsys.readouterr().err


def test_where_slices_round_otherwise_only_whoever_allows_it_may_cut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_model(tmp_path / "large.gguf", "command-r-plus")
    assert main(["cuts", str(path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("command-r, 64 layers; it may be cut in front of none\nnot in front of 1-63: slices add a ")
    assert said.endswith("; give --allow-rounding to cut it all the same\n")
    assert main(["cuts", str(path), "--allow-rounding"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "command-r, 64 layers; it may be cut in front of 1-63"
    assert second.startswith("with rounding of its own: slices add a layer's parts up in another order")
    assert main(["cuts", str(path), "--allow-rounding", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["rounding"].startswith("slices add ")


def test_the_flag_changes_nothing_where_slices_are_exact(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_tiny(tmp_path / "tiny.gguf", TinyModel("qwen3"))
    assert main(["cuts", str(path), "--allow-rounding"]) == 0
    assert capsys.readouterr().out == "qwen3, 4 layers; it may be cut in front of 1-3\n"
