"""Calls of tools, and text that is none, in one family's spelling."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.chat.formats.format import Literal, ToolFormat
from cluster.chat.formats.grammars.arguments import arguments
from cluster.chat.formats.grammars.lark import ANY_TEXT, Lark, pattern
from cluster.chat.messages import Tool

_BROUGHT = {"id": "/[A-Za-z0-9]{9}/", "index": "/[0-9]{1,3}/"}


class CallRules:
    """Expressions for the answers of a model that has `tools`, of which an answer calls one at most if it `is_once`."""

    def __init__(self, lark: Lark, form: ToolFormat, tools: Sequence[Tool], is_once: bool) -> None:
        self._lark = lark
        self._form = form
        self._tools = tools
        self._is_once = is_once or form.is_single
        before, self._after = form.enclosing
        head = form.head[0]
        self._opening = (before or (head.text if isinstance(head, Literal) else "")).lstrip()

    def calls(self, num_given: int = 0) -> str:
        """One call or more; so many letters of what opens them are there already."""
        lark, form = self._lark, self._form
        further = self._call(0)
        is_enclosed = bool(form.enclosing[0])
        first = f"{lark.literal(self._opening[num_given:])} {further}" if is_enclosed else self._call(num_given)
        more = "" if self._is_once else f"({lark.literal(form.between)} {further})*"
        return " ".join(part for part in (first, more, lark.literal(self._after)) if part)

    def required(self) -> str:
        """Nothing but calls."""
        return f"{self._lark.white} {self.calls(len(self._form.prime))}"

    def free(self, without: str = "") -> str:
        """Text with calls in it. `without`: a pattern that the text does not begin with."""
        lark, form = self._lark, self._form
        if form.prime:
            return self._primed()
        if form.is_first:
            text = lark.terminal("OTHER", _text(pattern(self._opening.rstrip()), without))
            return lark.rule("free", f"{self.calls()} | {text}?")
        if lark.starts_with_control(self._opening):
            again = "?" if self._is_once else "*"
            calls = self.calls() if self._is_once else f"{self.calls()} {self.text()}"
            return lark.rule("free", f"{self.text(without)} ({calls}){again}")
        return self._triggered(without)

    def text(self, without: str = "") -> str:
        """Text without calls, for a family whose calls begin with a control token."""
        text = f"{self._lark.terminal('BEGUN', _text(without))}?" if without else self._lark.text
        return f"{text} {self._marked()}".strip()

    def none(self) -> str:
        """Text in which no call begins."""
        lark = self._lark
        if lark.starts_with_control(self._opening):
            return self.text()
        anywhere = f"{ANY_TEXT}*{pattern(self._form.trigger)}"
        never = pattern(self._opening.rstrip()) if self._form.is_first else anywhere
        text = lark.terminal("UNCALLED", _text(never)) + "?"
        return f"{self._names_of_text()} {text}" if self._form.prime else text

    def _triggered(self, without: str) -> str:
        """What begins calls is text, and where it stands a call does begin."""
        lark, trigger = self._lark, self._form.trigger
        calls = self.calls(len(trigger))
        until = f"/{ANY_TEXT}*{pattern(trigger)}/"
        begun = lark.terminal("UNTIL", " & ".join((until, *_no(without))))
        begun = lark.lazy("begun", begun)
        text = f"{lark.terminal('BEGUN', _text(without))}?" if without else lark.text
        if self._is_once:
            return lark.rule("free", f"{begun} {calls} | {text}")
        return lark.rule("free", f"{begun} {calls} ({lark.lazy('until', until)} {calls})* {lark.text} | {text}")

    def _primed(self) -> str:
        """The prompt has written what begins a call, or text by another name."""
        lark, prime = self._lark, self._form.prime
        text = self._names_of_text()
        until = lark.lazy("until", f"/{ANY_TEXT}*{pattern(prime)}/")
        call = lark.rule("call", self._call(len(prime)))
        if self._is_once:
            return lark.rule("free", f"{call} | {text} ({until} {call} | {lark.text})")
        free = lark.reserve("free")
        lark.define(free, f"{call} ({lark.literal(prime)} {free})? | {text} ({until} {free} | {lark.text})")
        return free

    def _names_of_text(self) -> str:
        """What text begins with, behind what the prompt has written."""
        marks = (mark.removeprefix(self._form.prime) for mark in self._form.content_open)
        return f"({' | '.join(map(self._lark.literal, marks))})"

    def _call(self, num_given: int) -> str:
        """Of any tool; so many letters of its head are there already."""
        return self._lark.rule("call", " | ".join(self._of(tool, num_given) for tool in self._tools))

    def _of(self, tool: Tool, num_given: int) -> str:
        lark, found, literal = self._lark, [], ""
        for step in self._form.head:
            if isinstance(step, Literal):
                literal += step.text
            elif step.name == "name":
                literal += tool.name
            else:
                found += [lark.literal(literal[num_given:]), _BROUGHT[step.name]]
                literal, num_given = "", 0
        found += [lark.literal(literal[num_given:]), arguments(lark, self._form, tool), self._end()]
        return " ".join(part for part in found if part)

    def _end(self) -> str:
        before, has_id, after = self._form.end.partition("{id}")
        end = self._lark.literal(before)
        if has_id:
            end = f"{end} {_BROUGHT['id']} {self._lark.literal(after)}"
        return f"({end} | {self._lark.literal(self._form.short_end)})" if self._form.short_end else end

    def _marked(self) -> str:
        """Control tokens that enclose content may stand anywhere in it."""
        literals = (*self._form.content_open, *self._form.content_close)
        marks = [self._lark.literal(mark) for mark in literals if self._lark.starts_with_control(mark)]
        marks = [mark for mark in marks if mark]
        return f"(({' | '.join(marks)}) {self._lark.text})*" if marks else ""


def _text(*beginnings: str) -> str:
    """Text that begins with none of these patterns."""
    return " & ".join((f"/{ANY_TEXT}+/", *_no(*beginnings)))


def _no(*beginnings: str) -> list[str]:
    return [f"~/{begin}{ANY_TEXT}*/" for begin in beginnings if begin]
