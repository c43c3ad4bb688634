"""As ``torch.linalg``: the rows of the table that PyTorch keeps there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ggml.core.errors import LinAlgError  # noqa: F401
from ggml.ops.namespace import linalg

if TYPE_CHECKING:
    from ggml._linalg import *  # noqa: F403

globals().update(linalg())

__all__ = sorted([*linalg(), "LinAlgError"])
