"""Text from files and servers as it may stand on a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` on one line, with everything escaped that is no character to be shown: "\\x1b[2J" for a real escape.

    Control characters could move the cursor, write over other lines, or type what the terminal answers.
    """
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def printable_lines(text: str) -> str:
    """The same for text of several lines, which keeps those, and its tabs."""
    return "".join(char if char in "\n\t" else printable(char) for char in text)
