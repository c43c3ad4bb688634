"""The arguments of a call become JSON as they come, however their family spells them."""

from __future__ import annotations

import json

from cluster.chat.formats.format import Literal, ToolFormat, Values, steps
from cluster.chat.formats.kinds import Kind, kind_of, properties_of
from cluster.chat.formats.mark import Mark
from cluster.chat.formats.nested import GEMMA, PYTHON, read_nested
from cluster.chat.formats.part import PartKind
from cluster.chat.formats.tape import Reading, Tape
from cluster.chat.messages import JsonObject

_ARGUMENTS = PartKind.ARGUMENTS


def read_arguments(tape: Tape, form: ToolFormat, parameters: JsonObject) -> Reading[None]:
    """Those of one call, up to its end, which stays but where it is what ends them."""
    match form.values:
        case Values.JSON:
            yield from copy_json(tape)
        case Values.TAGGED:
            yield from _Tagged(tape, form, parameters).read()
        case Values.GEMMA:
            yield from read_nested(tape, GEMMA)
        case Values.PYTHON:
            yield from _read_keywords(tape)


def copy_json(tape: Tape) -> Reading[None]:
    """One JSON object or list, to where it closes. Nothing is taken if there is none."""
    tape.pass_white(64)
    if (yield from tape.peek()) not in ("{", "["):
        return
    depth, is_text, is_escaped = 0, False, False
    while (yield from tape.more()):
        size = 0
        for letter in tape.text:
            size += 1
            if is_text:
                is_text = is_escaped or letter != '"'
                is_escaped = letter == "\\" and not is_escaped
            elif letter == '"':
                is_text = True
            else:
                depth += (letter in "{[") - (letter in "}]")
                if depth == 0:
                    break
        text = tape.take(size)
        tape.make(_ARGUMENTS, text)
        if depth == 0:
            return


class _Tagged:
    """Arguments that stand between literals, one after the other."""

    def __init__(self, tape: Tape, form: ToolFormat, parameters: JsonObject) -> None:
        self._tape = tape
        self._parameters = parameters
        self._end = Mark(form.end)
        opened, key_end, close = _around(form.argument)
        self._open = Mark(opened)
        self._close = close
        self._key_end = Mark(key_end)
        _, has_type, type_end = form.argument.partition("{type}")
        self._type_end = Mark(type_end.partition("{value}")[0]) if has_type else None
        self._text_key_end = Mark(_around(form.text_argument)[1]) if form.text_argument else None

    def read(self) -> Reading[None]:
        tape = self._tape
        separator = "{"
        while (mark := (yield from tape.accept(self._end, self._open))) == self._open:
            marks = (self._key_end,) if self._text_key_end is None else (self._text_key_end, self._key_end)
            key = yield from tape.read_until_any(marks)
            if key is None:
                return
            name, key_end = key
            tape.make(_ARGUMENTS, f"{separator}{json.dumps(name, ensure_ascii=False)}: ")
            separator = ", "
            if not (yield from self._value(name, key_end)):
                return  # the text ends within it
        if mark is not None or not tape.is_ended:
            tape.make(_ARGUMENTS, "{}" if separator == "{" else "}")

    def _value(self, name: str, mark: Mark) -> Reading[bool]:
        tape = self._tape
        close = Mark(self._close.replace("{key}", name))
        kind = kind_of(properties_of(self._parameters).get(name), self._parameters)
        if self._text_key_end is not None:
            kind = Kind.TEXT if mark == self._text_key_end else Kind.JSON
            if kind is Kind.JSON and self._type_end is not None:
                yield from tape.read_name()
                if not (yield from tape.accept(self._type_end)):
                    return False
        if kind is Kind.JSON:
            return (yield from tape.copy_until((close,), _ARGUMENTS)) is not None
        if kind is Kind.ANY:
            return (yield from self._any(close))
        tape.make(_ARGUMENTS, '"')
        if (yield from tape.copy_until((close,), _ARGUMENTS, _within_quotes)) is None:
            return False
        tape.make(_ARGUMENTS, '"')
        return True

    def _any(self, close: Mark) -> Reading[bool]:
        """JSON if it is some, else a text: so the whole of it must be there."""
        found = yield from self._tape.read_until_any((close,))
        text = found[0] if found is not None else self._tape.take(len(self._tape.text))
        try:
            json.loads(text)
        except ValueError:
            text = json.dumps(text, ensure_ascii=False)
        self._tape.make(_ARGUMENTS, text)
        return found is not None


def _read_keywords(tape: Tape) -> Reading[None]:
    """``key='text', other=3`` up to a parenthesis, which stays."""
    separator = "{"
    while True:
        tape.pass_white(64)
        name = yield from tape.read_name()
        if not name:
            break
        yield from tape.accept(Mark("="))
        tape.make(_ARGUMENTS, f"{separator}{json.dumps(name)}: ")
        separator = ", "
        yield from read_nested(tape, PYTHON)
        if not (yield from tape.accept(Mark(", "))):
            break
    if (yield from tape.peek()):
        tape.make(_ARGUMENTS, "{}" if separator == "{" else "}")


def _around(spelled: str) -> tuple[str, str, str]:
    """Of one argument: what comes before the key, between key and value (up to a type), and after the value."""
    opened, key_end = (step.text for step in steps(spelled)[:3] if isinstance(step, Literal))
    return opened, key_end, spelled.partition("{value}")[2]


def _within_quotes(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
