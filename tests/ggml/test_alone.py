"""The package by itself: no torch, current stubs, a table that is complete."""

from __future__ import annotations

import inspect
import subprocess
import sys

import ggml
from ggml.ops.namespace import TABLE
from ggml.tensors.tensor import Tensor
from ggml.tools import stubs


def test_torch_is_not_imported() -> None:
    code = "import sys, ggml; ggml.rand(3).exp().tolist(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_stubs_are_current() -> None:
    for path, text in stubs.texts().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python -m ggml.tools.stubs"


def test_rows_are_documented_and_reachable() -> None:
    for row in TABLE.values():
        assert row.doc, row.name
        assert (row.lower is None) == (row.runs in ("composed", "host")), row.name
        for method in row.methods:
            assert hasattr(Tensor, method), method
        if row.torch == row.name and row.sample != "internal":
            assert inspect.unwrap(getattr(ggml, row.name)) is inspect.unwrap(row.function)


def test_names_that_are_offered() -> None:
    for name in ggml.__all__:
        assert hasattr(ggml, name), name
    assert len([row for row in TABLE.values() if row.sample != "internal"]) >= 120
