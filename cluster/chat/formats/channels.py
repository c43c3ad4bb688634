"""Answers in channels, each with a header that says for whom it is: harmony, as gpt-oss writes it."""

from __future__ import annotations

import re

from cluster.chat.formats.mark import Mark
from cluster.chat.formats.part import PartKind
from cluster.chat.formats.tape import Reading, Tape

_HEADERS = (Mark("<|channel|>"), Mark("<|start|>"))
_MESSAGE = Mark("<|message|>")
_ENDS = (Mark("<|end|>"), Mark("<|call|>"), Mark("<|return|>"))
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)")
_RECIPIENT = re.compile(r"\bto=(?:functions\.)?([A-Za-z0-9_.-]+)")


def read_channels(tape: Tape, finds_calls: bool) -> Reading[None]:
    """Analysis is reasoning; what is for a function is a call; all else is content. Headers are nobody's."""
    while (yield from tape.more()):
        opened = yield from tape.accept(*_HEADERS, Mark(" to="))
        if opened is None:
            opened = yield from tape.copy_until((*_HEADERS, *_ENDS), PartKind.CONTENT)
            if opened is None:
                return
            if opened in _ENDS:
                continue
        header = yield from tape.read_until_any((_MESSAGE,))
        if header is None:
            return
        yield from _read_body(tape, opened.literal + header[0], finds_calls)


def _read_body(tape: Tape, header: str, finds_calls: bool) -> Reading[None]:
    channel = _CHANNEL.search(header)
    recipient = _RECIPIENT.search(header)
    if recipient is not None and finds_calls:
        tape.make(PartKind.CALL, recipient.group(1))
        yield from tape.copy_until(_ENDS, PartKind.ARGUMENTS)
        tape.make(PartKind.CALL_END, "")
        return
    is_reasoning = channel is not None and channel.group(1) == "analysis"
    yield from tape.copy_until(_ENDS, PartKind.REASONING if is_reasoning else PartKind.CONTENT)
