"""``ggml.data`` under PyTorch's name, for programs that are written with it."""

from __future__ import annotations

from ggml.data import *  # noqa: F403
from ggml.data import __all__ as __all__
