"""Values in spellings that are nearly JSON's: Python's, and Gemma's, which has marks round texts and bare keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster.chat.formats.mark import Mark
from cluster.chat.formats.part import PartKind
from cluster.chat.formats.tape import Reading, Tape

MAX_DEPTH = 64
_ARGUMENTS = PartKind.ARGUMENTS
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0"}
_NUM_DIGITS = {"x": 2, "u": 4, "U": 8}


@dataclass(frozen=True, slots=True)
class Syntax:
    """How a spelling differs from JSON.

    Attributes:
        quotes: what may be round a text.
        has_escapes: whether a backslash in a text means something.
        words: what stands for JSON's true, false and null.
    """

    quotes: tuple[Mark, ...]
    has_escapes: bool
    words: Mapping[str, str] = field(default_factory=dict)


GEMMA = Syntax((Mark('<|"|>'),), has_escapes=False)
PYTHON = Syntax((Mark("'"), Mark('"')), True, {"True": "true", "False": "false", "None": "null"})


def read_nested(tape: Tape, syntax: Syntax, depth: int = 0) -> Reading[None]:
    """One value, as JSON. Deeper than 64 it is text."""
    quote = yield from tape.accept(*syntax.quotes)
    if quote is not None:
        yield from _read_text(tape, syntax, quote)
        return
    opened = yield from tape.peek()
    if opened in ("{", "[") and depth < MAX_DEPTH:
        yield from _read_items(tape, syntax, depth)
        return
    word = yield from _read_word(tape)
    tape.make(_ARGUMENTS, syntax.words.get(word, word))


def _read_items(tape: Tape, syntax: Syntax, depth: int) -> Reading[None]:
    opened = tape.take(1)
    closed = "}" if opened == "{" else "]"
    tape.make(_ARGUMENTS, opened)
    while True:
        tape.pass_white(64)
        letter = yield from tape.peek()
        if not letter:
            return
        if letter in (closed, ","):
            tape.take(1)
            tape.make(_ARGUMENTS, closed if letter == closed else ", ")
            if letter == closed:
                return
            continue
        if opened == "{":
            yield from _read_key(tape, syntax)
        before = tape.upto
        yield from read_nested(tape, syntax, depth + 1)
        if tape.upto == before and tape.text:
            tape.take(1)  # what belongs to no value


def _read_key(tape: Tape, syntax: Syntax) -> Reading[None]:
    quote = yield from tape.accept(*syntax.quotes)
    if quote is not None:
        yield from _read_text(tape, syntax, quote)
    else:
        found = ""
        while (yield from tape.peek()) not in ("", ":", "}"):
            found += tape.take(1)
        if (yield from tape.peek()):
            tape.make(_ARGUMENTS, json.dumps(found.strip(), ensure_ascii=False))
    if (yield from tape.accept(Mark(": "))):
        tape.make(_ARGUMENTS, ": ")


def _read_text(tape: Tape, syntax: Syntax, quote: Mark) -> Reading[None]:
    tape.make(_ARGUMENTS, '"')
    escape = (Mark("\\"),) if syntax.has_escapes else ()
    while True:
        mark = yield from tape.copy_until((quote, *escape), _ARGUMENTS, _within_quotes)
        if mark is None:
            return
        if mark == quote:
            tape.make(_ARGUMENTS, '"')
            return
        tape.make(_ARGUMENTS, _within_quotes((yield from _read_escaped(tape))))


def _read_escaped(tape: Tape) -> Reading[str]:
    """What a backslash, which was read, makes of what follows."""
    if not (yield from tape.more()):
        return ""
    letter = tape.take(1)
    num_digits = _NUM_DIGITS.get(letter)
    if num_digits is None:
        return "" if letter == "\n" else _ESCAPES.get(letter, letter if letter in "\\'\"" else f"\\{letter}")
    digits = ""
    while len(digits) < num_digits and (yield from tape.peek()) in tuple("0123456789abcdefABCDEF"):
        digits += tape.take(1)
    code = int(digits or "fffd", 16)
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"


def _read_word(tape: Tape) -> Reading[str]:
    """A number, or a name, up to what can be in none."""
    word = ""
    while (letter := (yield from tape.peek())) and (letter.isalnum() or letter in "+-._"):
        word += tape.take(1)
    return word


def _within_quotes(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
