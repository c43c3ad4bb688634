"""`import ggml` is ours, and says so when it is not alone."""

from __future__ import annotations

import importlib
from importlib import metadata
from pathlib import Path

import pytest

import ggml
from ggml import _import_guard


def test_alone_it_imports() -> None:
    importlib.reload(ggml)


def test_it_finds_what_importlib_finds() -> None:
    assert _import_guard.providers() == set(metadata.packages_distributions().get("ggml", ()))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("top_level.txt", "other\nggml\n"),
        ("RECORD", "other/a.py,sha256=x,1\nggml/__init__.py,sha256=x,10\n"),
        ("RECORD", "ggml.py,sha256=x,10\n"),
        ("RECORD", "ggml.cpython-311-x86_64-linux-gnu.so,sha256=x,10\n"),
        ("RECORD", '"ggml/a,b.txt",sha256=x,10\n'),
    ],
)
def test_a_foreign_distribution_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str
) -> None:
    _install(tmp_path, name, content)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert _import_guard.providers() >= set(metadata.packages_distributions().get("ggml", ()))
    with pytest.raises(ImportError, match="pip uninstall ggml-python"):
        importlib.reload(ggml)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("top_level.txt", "ggml_tools\ngguf\n"),
        ("RECORD", "ggml_python/ggml/__init__.py,sha256=x,10\nggmlx.py,sha256=x,1\n"),
        ("RECORD", ""),
    ],
)
def test_other_names_are_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str) -> None:
    _install(tmp_path, name, content)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.reload(ggml)


def _install(folder: Path, name: str, content: str) -> None:
    info = folder / "ggml_python-0.0.40.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ggml-python\nVersion: 0.0.40\n")
    (info / name).write_text(content)
