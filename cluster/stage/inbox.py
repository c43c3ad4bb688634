"""What waits for the computing thread: steps in order, and the beginnings of epochs."""

from __future__ import annotations

import os
import queue
import select
import threading
import weakref
from collections import deque
from contextlib import suppress

from cluster.messages.stage import Hello
from cluster.wire.stage.steps import Step, StepSource

MAX_QUEUED_STEPS = 64  # more than a pipeline has in flight; beyond it the sender waits
_STOP_CHECK_S = 0.1


class Inbox:
    """Filled by the threads of the server, emptied by the one that computes.

    That one takes steps of this machine from their socket itself: see `read_from`.
    """

    def __init__(self) -> None:
        self._work: queue.Queue[Step | Hello | None] = queue.Queue(MAX_QUEUED_STEPS)
        self._stopping = threading.Event()
        self._woken, self._wake = os.pipe()
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)
            weakref.finalize(self, os.close, end)
        self._changed = threading.Condition()
        self._source: StepSource | None = None
        self._in_use: StepSource | None = None  # by the computing thread, at this moment
        self._read: deque[Step] = deque()  # from the source; for the computing thread

    def put(self, work: Step | Hello) -> None:
        """Waits while the queue is full, but not once it is stopped."""
        while not self._stopping.is_set():
            try:
                self._work.put(work, timeout=_STOP_CHECK_S)
                self._wake_up()
                return
            except queue.Full:
                continue

    def read_from(self, source: StepSource) -> None:
        """Have the computing thread take steps from it, behind what was put before; until it is over."""
        with self._changed:
            self._source = source
        self._wake_up()
        source.over.wait()
        with self._changed:
            if self._source is source:
                self._source = None
            self._wake_up()
            self._changed.wait_for(lambda: self._in_use is not source)  # its socket is closed next

    def get(self) -> Step | Hello | None:
        """The next one; None once it is stopped."""
        while True:
            with suppress(queue.Empty):
                return self._work.get_nowait()
            if self._read:
                return self._read.popleft()
            self._wait()

    def drain(self) -> None:
        """Forget all that waits, but not that it is stopped. Steps that were read already are of an older epoch."""
        with suppress(queue.Empty):
            while True:
                self._work.get_nowait()
        if self._stopping.is_set():
            self._work.put(None)
            self._wake_up()

    def stop(self) -> None:
        """End the thread that gets, and whoever waits to put."""
        self._stopping.set()
        self.drain()

    def _wait(self) -> None:
        """Until there may be something."""
        with self._changed:
            source = self._in_use = self._source
        try:
            poll = select.poll()
            poll.register(self._woken, select.POLLIN)
            if source is not None:
                poll.register(source, select.POLLIN)
            ready = [file for file, _ in poll.poll()]
            if self._woken in ready:
                with suppress(BlockingIOError):
                    os.read(self._woken, 4096)
            elif source is not None:
                self._read.extend(source.read())
        finally:
            with self._changed:
                if source is not None and source.over.is_set() and self._source is source:
                    self._source = None
                self._in_use = None
                self._changed.notify_all()

    def _wake_up(self) -> None:
        with suppress(BlockingIOError):  # it is woken already
            os.write(self._wake, b"\0")
