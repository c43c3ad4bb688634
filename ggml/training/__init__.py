"""Training steps as one native graph each."""

from __future__ import annotations

from ggml.training.step import CompiledStep, compile_step

__all__ = ["CompiledStep", "compile_step"]
