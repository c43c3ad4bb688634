"""How a thread waits for what it reads itself, and for others to wake it."""

from __future__ import annotations

import os
import select
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Generic

from cluster.wire.local.source import Source, Taken

_WAKINGS_BYTES = 64 << 10  # as many as a pipe holds: one byte for each time that somebody woke it


class Polled(Generic[Taken]):
    """At most one source at a time, read by one thread, lent by others.

    `wait` and `take` are for the thread that reads; all else for any.
    """

    def __init__(self) -> None:
        self._woken, self._wake = os.pipe()
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)
            weakref.finalize(self, os.close, end)
        self._changed = threading.Condition()
        self._source: Source[Taken] | None = None
        self._in_use: Source[Taken] | None = None  # at this moment

    def lend(self, source: Source[Taken]) -> None:
        """Have it read; until it is over, and not in use any more: its socket may be closed then."""
        with self._changed:
            self._source = source
        self.wake()
        source.over.wait()
        with self._changed:
            if self._source is source:
                self._source = None
            self.wake()
            self._changed.wait_for(lambda: self._in_use is not source)

    def wait(self) -> list[Taken]:
        """Until something has come, or somebody wakes us; maybe for nothing."""
        with self._using() as source:
            poll = select.poll()
            poll.register(self._woken, select.POLLIN)
            if source is not None:
                poll.register(source, select.POLLIN)
            ready = [file for file, _ in poll.poll()]
            if self._woken in ready:
                with suppress(BlockingIOError):
                    os.read(self._woken, _WAKINGS_BYTES)
                return []
            return source.read() if source is not None else []

    def take(self) -> list[Taken]:
        """What has come by now."""
        with self._using() as source:
            return source.read() if source is not None else []

    def wake(self) -> None:
        """End a `wait`, or the next one."""
        with suppress(BlockingIOError):  # it is woken already
            os.write(self._wake, b"\0")

    @contextmanager
    def _using(self) -> Iterator[Source[Taken] | None]:
        with self._changed:
            source = self._in_use = self._source
        try:
            yield source
        finally:
            with self._changed:
                if source is not None and source.over.is_set() and self._source is source:
                    self._source = None
                self._in_use = None
                self._changed.notify_all()
