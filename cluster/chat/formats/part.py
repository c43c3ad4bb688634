"""What a text is made of, before it is known whose answer it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class PartKind(Enum):
    REASONING = "reasoning"
    CONTENT = "content"
    CALL = "call"  # its text is the name
    ARGUMENTS = "arguments"
    CALL_END = "call_end"


@dataclass(frozen=True, slots=True)
class Part:
    kind: PartKind
    text: str
    upto: int  # how many characters of the whole text this and all parts before it were made of
    id: str = ""  # of a call, where the text has one
