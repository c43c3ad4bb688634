"""What waits for the computing thread: steps in order, and the beginnings of epochs."""

from __future__ import annotations

import queue
import threading
from collections import deque
from contextlib import suppress

from cluster.messages.stage import Hello
from cluster.stage.polled import Polled
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
        self._polled: Polled[Step] = Polled()
        self._read: deque[Step] = deque()  # from the source; for the computing thread

    def put(self, work: Step | Hello) -> None:
        """Waits while the queue is full, but not once it is stopped."""
        while not self._stopping.is_set():
            try:
                self._work.put(work, timeout=_STOP_CHECK_S)
                self._polled.wake()
                return
            except queue.Full:
                continue

    def read_from(self, source: StepSource) -> None:
        """Have the computing thread take steps from it, behind what was put before; until it is over."""
        self._polled.lend(source)

    def get(self) -> Step | Hello | None:
        """The next one; None once it is stopped."""
        while True:
            with suppress(queue.Empty):
                return self._work.get_nowait()
            if self._read:
                return self._read.popleft()
            self._read.extend(self._polled.wait())

    def drain(self) -> None:
        """Forget all that waits, but not that it is stopped. Steps that were read already are of an older epoch."""
        with suppress(queue.Empty):
            while True:
                self._work.get_nowait()
        if self._stopping.is_set():
            self._work.put(None)
            self._polled.wake()

    def stop(self) -> None:
        """End the thread that gets, and whoever waits to put."""
        self._stopping.set()
        self.drain()
