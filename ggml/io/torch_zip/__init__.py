"""Checkpoints that ``torch.save`` wrote, read without running anything that a file asks for."""

from __future__ import annotations

from ggml.io.torch_zip.archive import load_torch_zip

__all__ = ["load_torch_zip"]
