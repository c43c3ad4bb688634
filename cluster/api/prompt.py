"""A prompt in pieces: what names control tokens, and what must not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a prompt. Pieces are tokenised in one call, so that only a real seam begins a new word."""

    text: str
    parse_special: bool = False  # names of control tokens in it become these tokens
    picture: bytes = b""  # a PNG, JPEG or GIF, in the place of a text, which is empty then


Segments = tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """A query and a document, for a model that ranks."""

    query: str
    document: str
