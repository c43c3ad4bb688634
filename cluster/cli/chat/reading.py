"""What a person types, or a pipe brings: one message at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from cluster.cli.chat.commands import COMMANDS

PROMPT = "> "
AND_MORE = "\\"  # at the end of a line


def typed_messages(history: Path | None) -> Iterator[str]:
    """From a terminal, with what was typed before at the arrow keys. Ctrl-C drops the line; Ctrl-D ends it all."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter
    from prompt_toolkit.history import FileHistory, InMemoryHistory
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.current_line_before_cursor.endswith(AND_MORE):
            buffer.delete_before_cursor()
            buffer.newline()
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.newline()

    session: PromptSession[str] = PromptSession(
        PROMPT,
        multiline=True,
        prompt_continuation="  ",
        key_bindings=keys,
        history=InMemoryHistory() if history is None else FileHistory(str(_private(history))),
        completer=WordCompleter(list(COMMANDS), sentence=True),
        complete_while_typing=False,
    )
    while True:
        try:
            text = session.prompt()
        except KeyboardInterrupt:
            print("(Ctrl-D leaves)", file=sys.stderr)
            continue
        except EOFError:
            return
        if text.strip():
            yield text


def piped_messages(stream: TextIO) -> Iterator[str]:
    """A line each, or several where they end in a backslash."""
    begun: list[str] = []
    for line in stream:
        text = line.rstrip("\n")
        if text.endswith(AND_MORE):
            begun.append(text.removesuffix(AND_MORE))
            continue
        message = "\n".join((*begun, text))
        begun = []
        if message.strip():
            yield message
    if begun:
        yield "\n".join(begun)


def _private(path: Path) -> Path:
    """The file, for nobody else to read."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    path.chmod(0o600)
    return path
