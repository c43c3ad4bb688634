"""Mixed precision, as ``torch.amp``."""

from __future__ import annotations

from ggml.amp.grad_scaler import GradScaler
from ggml.core.autocast import autocast

__all__ = ["GradScaler", "autocast"]
