"""The small model that ships with the package, and the script that trained it."""

from __future__ import annotations

from pathlib import Path


def model_path() -> Path:
    """The GGUF that ships with the package: 8 llama layers, stories and chats about them, in English (see CARD.md)."""
    return Path(__file__).with_name("demo.gguf")
