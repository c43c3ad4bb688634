"""As ``torch.signal.windows``: the rows of the table that PyTorch keeps there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ggml.ops.namespace import signal_windows

if TYPE_CHECKING:
    from ggml._signal_windows import *  # noqa: F403

globals().update(signal_windows())

__all__ = sorted(signal_windows())
