"""What the pages of ggml show is what they print."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

import ggml

PAGES = sorted((Path(__file__).parents[2] / "docs" / "ggml").glob("*.md"))
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_prints_what_it_shows(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "import torch" in page.read_text():
        pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")
    monkeypatch.chdir(tmp_path)
    # A fence ends an example: doctest would take it for output.
    text = page.read_text().replace("```", "")
    examples = doctest.DocTestParser().get_doctest(text, {"ggml": ggml}, page.name, str(page), 0)
    before = ggml.get_num_threads()
    ggml.set_num_threads(1)  # several wait for each other where other tests compute, too
    result = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False).run(examples)
    ggml.set_num_threads(before)
    assert result.failed == 0
