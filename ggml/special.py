"""As ``torch.special``: the rows of the table that PyTorch keeps there, and its names for others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ggml.ops.namespace import special

if TYPE_CHECKING:
    from ggml._special import *  # noqa: F403

globals().update(special())

__all__ = sorted(special())
