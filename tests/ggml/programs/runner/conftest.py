from __future__ import annotations

from pathlib import Path

import pytest

from tests.ggml.programs.runner.building import ROOT, built


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``ggml-run``, built once."""
    return built(ROOT / "deploy" / "runner", tmp_path_factory.mktemp("runner")) / "ggml-run"
