"""An answer as it comes: text on stdout, reasoning dimmed, figures on stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cluster.chat.answer import Answer
from cluster.chat.events import CallArguments, CallBegin, CallEnd, ChatEvent, Content, Reasoning
from cluster.terminal.printable import printable_lines

if TYPE_CHECKING:
    from cluster.client.chat import ChatStream

DIM, PLAIN = "\x1b[2m", "\x1b[0m"


def show_answer(stream: ChatStream, is_terminal: bool) -> Answer:
    """Prints it to its end, or to Ctrl-C, which stops it on all stages; what came until then is the answer."""
    screen = _Screen(is_terminal)
    try:
        with stream:
            for event in stream:
                screen.show(event)
    except KeyboardInterrupt:
        screen.end()
        print("(stopped)", file=sys.stderr)
        return stream.answer
    screen.end()
    _report(stream.answer, is_terminal)
    return stream.answer


class _Screen:
    """What a terminal would obey is made visible; a pipe gets texts as they are, and no reasoning."""

    def __init__(self, is_terminal: bool) -> None:
        self._is_terminal = is_terminal
        self._is_dim = False
        self._is_at_begin = True

    def show(self, event: ChatEvent) -> None:
        match event:
            case Reasoning(text=text):
                if self._is_terminal:
                    self._print(text, is_dim=True)
            case Content(text=text):
                self._print(text, is_dim=False)
            case CallBegin(name=name):
                self._print(f"[{name} ", is_dim=True)
            case CallArguments(text=text):
                self._print(text, is_dim=True)
            case CallEnd():
                self._print("]\n", is_dim=True)
            case _:
                pass

    def end(self) -> None:
        if self._is_dim:
            self._write(PLAIN)
            self._is_dim = False
        if not self._is_at_begin:
            self._write("\n")

    def _print(self, text: str, is_dim: bool) -> None:
        if is_dim != self._is_dim and self._is_terminal:
            gap = "" if is_dim or self._is_at_begin else "\n"
            self._write(DIM if is_dim else f"{PLAIN}{gap}")
            self._is_dim = is_dim
        self._write(printable_lines(text) if self._is_terminal else text)
        self._is_at_begin = text.endswith("\n")

    def _write(self, text: str) -> None:
        print(text, end="", flush=True)


def _report(answer: Answer, is_terminal: bool) -> None:
    if answer.finish_reason is not None and answer.finish_reason.value == "context":
        print("note: the context is full; /reset begins anew, /undo makes room", file=sys.stderr)
    timings = answer.timings
    if is_terminal and timings.num_tokens > 1 and timings.decode_ms > 0:
        rate = 1e3 * (timings.num_tokens - 1) / timings.decode_ms
        figures = (
            f"{timings.num_prompt_tokens} prompt tokens ({timings.num_cached_tokens} cached), "
            f"{timings.num_tokens} tokens, {rate:.1f} tokens/s"
        )
        print(f"{DIM}{figures}{PLAIN}", file=sys.stderr)
