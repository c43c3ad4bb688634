"""Text from files as it may stand on a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` on one line, with everything escaped that a terminal would obey instead of showing."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
