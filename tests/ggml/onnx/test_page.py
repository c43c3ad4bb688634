"""The page lists the operations that there are."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx", reason="onnx is not installed: pip install 'ggml-cluster[onnx]'")

from ggml.tools.onnx_page import PAGE, page


def test_the_tables_are_current() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "python -m ggml.tools.onnx_page writes them"
    assert "Conv," in text and "convolution," in text
