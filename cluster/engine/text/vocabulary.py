"""Vocabulary: what the engine needs to know about tokens."""

from __future__ import annotations

from collections.abc import Set
from typing import Protocol


class Vocabulary(Protocol):
    """The model's tokens; `worker_native` has the real one, tests a list of bytes."""

    @property
    def num_tokens(self) -> int:
        """Token ids are [0, num_tokens); also the width V of a row of logits."""
        ...

    @property
    def end_tokens(self) -> Set[int]:
        """Tokens that end a text."""
        ...

    def token_bytes(self, token: int, render_special: bool = False) -> bytes:
        """The bytes that a token adds to the text; may be a part of a character, or none.

        `render_special`: of a control token its name, which is none otherwise.
        """
        ...
