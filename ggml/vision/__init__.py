"""Images for models, with the names of ``torchvision``."""

from __future__ import annotations

__all__: list[str] = []
