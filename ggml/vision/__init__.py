"""Images for models, with the names of ``torchvision``."""

from __future__ import annotations

from ggml.vision import models, transforms

__all__ = ["models", "transforms"]
