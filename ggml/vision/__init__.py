"""Images for models, with the names of ``torchvision``."""

from __future__ import annotations

from ggml.vision import transforms

__all__ = ["transforms"]
