"""As ``torch.signal``."""

from __future__ import annotations

from ggml.signal import windows

__all__ = ["windows"]
