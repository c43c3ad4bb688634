"""Every model of the zoo runs whole on ggml, and equals PyTorch at two shapes."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import ggml
from tests.ggml.zoo.models import Entry
from tests.ggml.zoo.models.every import ENTRIES
from tests.ggml.zoo.page import PAGE, row
from tests.ggml.zoo.running import outcome


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_model_equals_pytorch(entry: Entry, tmp_path: Path) -> None:
    found = outcome(entry)
    assert not found.coverage.missing, str(found.coverage)
    assert found.error <= entry.tolerance
    assert found.program.num_recordings == 2
    assert row(entry.name, found) in PAGE.read_text(encoding="utf-8"), "run python -m tests.ggml.zoo.page"
    found.program.save(tmp_path / "model.ggp")
    assert ggml.load_program(tmp_path / "model.ggp").graph == found.program.graph
