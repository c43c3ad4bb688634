"""`import ggml` is ours, and says so when it is not alone."""

from __future__ import annotations

import importlib
from importlib import metadata

import pytest

import ggml
from ggml import _import_guard


def test_alone_it_imports() -> None:
    importlib.reload(ggml)


def test_a_foreign_distribution_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "packages_distributions", lambda: {"ggml": [_import_guard.OURS, "ggml-python"]})
    with pytest.raises(ImportError, match="pip uninstall ggml-python"):
        importlib.reload(ggml)
