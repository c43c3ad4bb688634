"""What training needs beside modules and optimisers."""

from __future__ import annotations

from ggml.utils import checkpoint, data
from ggml.utils.checkpointer import Checkpointer
from ggml.utils.early_stopping import EarlyStopping

__all__ = ["Checkpointer", "EarlyStopping", "checkpoint", "data"]
