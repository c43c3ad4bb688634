"""Content and calls of one family: what is neither is content, and nothing is lost."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.chat.formats.arguments import read_arguments
from cluster.chat.formats.format import Literal, ToolFormat, Values
from cluster.chat.formats.mark import Mark
from cluster.chat.formats.part import Part, PartKind
from cluster.chat.formats.tape import Reading, Tape
from cluster.chat.messages import JsonObject


class CallReader:
    """Reads an answer from where its reasoning has ended."""

    def __init__(self, tape: Tape, form: ToolFormat, parameters: Mapping[str, JsonObject] | None) -> None:
        """`parameters`: schemas of the tools, by name; None looks for no calls."""
        self._tape = tape
        self._form = form
        self._parameters = parameters or {}
        self._is_called = False
        before, after = form.enclosing
        head = form.head[0]
        self._is_enclosed = bool(before)
        self._head = Mark(head.text) if isinstance(head, Literal) else None
        self._closed = Mark(after)
        self._between = Mark(form.between) if form.between.strip() else self._head
        opens = before or (self._head.literal if self._head is not None else "")
        self._opened = Mark(opens if form.is_first else f"\n{opens}")
        self._passed_over = tuple(Mark(literal) for literal in (*form.content_open, *form.content_close))
        self._call_marks = () if parameters is None else (self._opened,)

    def read(self) -> Reading[None]:
        tape = self._tape
        if self._form.is_first:
            if self._call_marks and (yield from tape.accept(self._opened)):
                yield from self._read_calls()
            yield from tape.copy_until((), PartKind.CONTENT)
            return
        while (mark := (yield from self._content())) is not None:
            if mark == self._opened:
                yield from self._read_calls()

    def _content(self) -> Reading[Mark | None]:
        """Copies text up to a mark. Before a call, and after one, white space alone is nobody's."""
        tape, marks = self._tape, (*self._passed_over, *self._call_marks)
        white = (yield from tape.hold_white(marks)) if self._call_marks else ""
        mark = yield from tape.accept(*marks)
        if mark is not None:
            return mark
        if white and ((yield from tape.peek()) or not self._is_called):
            tape.make(PartKind.CONTENT, white)
        return (yield from tape.copy_until(marks, PartKind.CONTENT))

    def _read_calls(self) -> Reading[None]:
        """From behind what opens them to behind what closes them."""
        tape = self._tape
        is_head_read = not self._is_enclosed
        while True:
            tape.remember()
            if not (yield from self._read_call(is_head_read)):
                tape.give_back()
                return
            self._is_called = True
            if not self._is_enclosed:
                return
            tape.pass_white(64)
            mark = yield from tape.accept(self._closed, *([self._between] if self._between is not None else []))
            if mark != self._between:
                return
            is_head_read = mark == self._head

    def _read_call(self, is_head_read: bool) -> Reading[bool]:
        """False if it is none; then what was taken is what `remember` has kept."""
        tape, form = self._tape, self._form
        brought = {}
        for step in form.head[1:] if is_head_read else form.head:
            if isinstance(step, Literal):
                if not (yield from tape.accept(Mark(step.text))):
                    return False
                continue
            brought[step.name] = yield from tape.read_name()
            if not brought[step.name]:
                return False
        if form.values is Values.GEMMA and (yield from tape.peek()) != "{":
            return False
        tape.forget()
        name = brought["name"]
        tape.parts.append(Part(PartKind.CALL, name, tape.upto, brought.get("id", "")))
        yield from read_arguments(tape, form, self._parameters.get(name, {}))
        tape.make(PartKind.CALL_END, "")
        if form.values is not Values.TAGGED:  # those have read their end
            ends = (form.end, form.short_end)
            found = yield from tape.accept(*(Mark(end.partition("{id}")[0]) for end in ends if end))
            if found is not None and "{id}" in form.end and found.literal != form.short_end:
                yield from tape.read_name()
                yield from tape.accept(Mark(form.end.partition("{id}")[2]))
        return True
