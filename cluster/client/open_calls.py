"""The calls of one client that may not have ended: they are closed with it."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar
from weakref import WeakSet

Call = TypeVar("Call")


class OpenCalls(Generic[Call]):
    """Those that somebody holds still. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: WeakSet[Call] = WeakSet()

    def add(self, call: Call) -> Call:
        with self._lock:
            self._open.add(call)
        return call

    def all(self) -> list[Call]:
        """As they are now."""
        with self._lock:
            return list(self._open)
