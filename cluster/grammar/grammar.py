"""A grammar: what llguidance compiles, as one string."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.api.errors import UsageError
from cluster.api.sampling import MAX_GRAMMAR_BYTES


@dataclass(frozen=True, slots=True)
class Grammar:
    """A grammar that compiles, in llguidance's own form: Lark text, or its JSON of grammars."""

    text: str
    warnings: tuple[str, ...] = ()  # what was asked for and is not enforced


def check_size(text: str) -> None:
    """UsageError if it is longer than a grammar may be, or no Unicode."""
    try:
        num_bytes = len(text.encode())
    except UnicodeEncodeError as error:
        raise UsageError("grammar: it is not valid Unicode; remove its lone surrogates") from error
    if num_bytes > MAX_GRAMMAR_BYTES:
        raise UsageError(f"grammar: it has {num_bytes} bytes; give at most {MAX_GRAMMAR_BYTES}")
