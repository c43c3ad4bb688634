"""Some things in order, of which some may be missing, with separators only between those that are there."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.chat.formats.grammars.lark import Lark


def in_order(lark: Lark, things: Sequence[tuple[str, bool]], between: str) -> str:
    """`things`: expressions, and whether they must be there. `between`: an expression, or "" for nothing."""
    if not between:
        return " ".join(thing if must_be else f"({thing})?" for thing, must_be in things)
    first = later = ""  # what may come if nothing is there yet, and if something is
    for thing, must_be in reversed(things):
        with_later = f"{thing} {later}".strip()
        beginnings, continuations = [with_later], [f"{between} {with_later}"]
        if not must_be:
            beginnings.append(first or '""')
            continuations.append(later or '""')
        first = lark.rule("first", " | ".join(beginnings))
        later = lark.rule("later", " | ".join(continuations))
    return first
