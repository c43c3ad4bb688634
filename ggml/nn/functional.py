"""As ``torch.nn.functional``: the rows of the table that PyTorch keeps there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ggml.ops.namespace import functional

if TYPE_CHECKING:
    from ggml.nn._functional import *  # noqa: F403

globals().update(functional())

__all__ = sorted(functional())
