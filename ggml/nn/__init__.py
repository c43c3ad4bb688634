"""Layers, and the functions that they are made of."""

from __future__ import annotations

from ggml.nn import functional

__all__ = ["functional"]
