"""What training needs beside modules and optimisers."""

from __future__ import annotations

from ggml.utils import checkpoint, data

__all__ = ["checkpoint", "data"]
