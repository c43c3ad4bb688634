"""Tensors in GGUF files."""

from __future__ import annotations

from ggml.files.reading import load
from ggml.files.writing import save

__all__ = ["load", "save"]
