"""Whether a function is being traced, and whether captured tensors have changed since."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ggml.core.errors import TracingError
from ggml.core.node import Node

_recording: ContextVar[object | None] = ContextVar("recording", default=None)
_changes = itertools.count(1)
_epoch = _epoch_of_contents = 0


def is_active() -> bool:
    """Whether the operations of this thread are recorded for a compiled function."""
    return _recording.get() is not None


def refuse(what: str) -> None:
    """TracingError while a function is recorded: what keeps a value of a recording holds what never gets memory."""
    if is_active():
        raise TracingError(what)


class Changes:
    """What a recording may do beside computing, because whoever runs it does it again at each call.

    In such a recording the tensors of modules may be given other values, and random numbers may be drawn: ``draws``
    holds, in their order, the placeholder of each and what draws the tensor that takes its place. ``assigned`` are the
    tensors that were changed in place, with the nodes and histories that they had before. ``repeats`` are placeholders
    that the next draws get once more, because they belong to something that is computed again.
    """

    def __init__(self) -> None:
        self.draws: list[tuple[Node, Callable[[], Any]]] = []
        self.repeats: list[Node] = []
        self.assigned: list[tuple[weakref.ref[Any], Node, Any]] = []

    def note(self, tensor: Any) -> None:
        """The tensor is about to be changed in place."""
        self.assigned.append((weakref.ref(tensor), tensor._node, tensor._history))

    def undo(self) -> list[Any]:
        """Give the tensors that somebody still holds what they had before; returns them, each once."""
        found: dict[int, Any] = {}
        for reference, node, history in reversed(self.assigned):
            tensor = reference()
            if tensor is not None:
                tensor._node, tensor._history = node, history
                found[id(tensor)] = tensor
        self.assigned.clear()
        return list(found.values())


def changes() -> Changes | None:
    """The changes that the recording of this thread keeps; None outside of one, and where it keeps none."""
    found = _recording.get()
    return found if isinstance(found, Changes) else None


def refuse_change(what: str) -> None:
    """TracingError while a function is recorded that cannot give what it changed its value at each call."""
    if changes() is None:
        refuse(what)


def current() -> object | None:
    """What tells the recording of this thread from others; None outside of one."""
    return _recording.get()


@contextmanager
def recording(kept: Changes | None = None) -> Iterator[None]:
    """Record until the end of the block; ``kept`` collects what is done again at each call."""
    token = _recording.set(object() if kept is None else kept)
    try:
        yield
    finally:
        _recording.reset(token)


def epoch() -> int:
    """Grows each time a tensor that a compiled function holds is given another value."""
    return _epoch


def epoch_of_contents() -> int:
    """As ``epoch``, but for modes of modules, which whoever goes by it tells apart by other means."""
    return _epoch_of_contents


def note_change() -> None:
    global _epoch, _epoch_of_contents
    _epoch = _epoch_of_contents = next(_changes)


def note_mode() -> None:
    """A module is switched between training and evaluation."""
    global _epoch
    _epoch = next(_changes)
