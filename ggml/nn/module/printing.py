"""A module as text, in PyTorch's form."""

from __future__ import annotations

from collections.abc import Mapping


def indented(text: str) -> str:
    """Every line but the first two places further in."""
    return text.replace("\n", "\n  ")


def text(name: str, extra: str, below: Mapping[str, object]) -> str:
    """``Name(extra)``, or what is below it each on lines of its own."""
    children = [f"({key}): {indented(repr(child))}" for key, child in below.items()]
    if not children and "\n" not in extra:
        return f"{name}({extra})"
    lines = [*extra.split("\n"), *children] if extra else children
    return f"{name}(\n  " + "\n  ".join(lines) + "\n)"
