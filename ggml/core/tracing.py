"""Whether a function is being traced, and whether captured tensors have changed since."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ggml.core.errors import TracingError

_recording: ContextVar[object | None] = ContextVar("recording", default=None)
_changes = itertools.count(1)
_epoch = 0


def is_active() -> bool:
    """Whether the operations of this thread are recorded for a compiled function."""
    return _recording.get() is not None


def refuse(what: str) -> None:
    """TracingError while a function is recorded: what keeps a value of a recording holds what never gets memory."""
    if is_active():
        raise TracingError(what)


def current() -> object | None:
    """What tells the recording of this thread from others; None outside of one."""
    return _recording.get()


@contextmanager
def recording() -> Iterator[None]:
    """Record until the end of the block."""
    token = _recording.set(object())
    try:
        yield
    finally:
        _recording.reset(token)


def epoch() -> int:
    """Grows each time a tensor that a compiled function holds is given another value."""
    return _epoch


def note_change() -> None:
    global _epoch
    _epoch = next(_changes)
