"""The chat that most tests ask for, where it does not matter what is said."""

from __future__ import annotations

from typing import Any

HI: list[Any] = [{"role": "user", "content": "Tell me a story."}]
