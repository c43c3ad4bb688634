"""What waits for the computing thread: steps in order, and the beginnings of epochs."""

from __future__ import annotations

import queue
import threading
from contextlib import suppress

from cluster.messages.program import AnyStep
from cluster.messages.stage import Hello
from cluster.messages.step import Float32Array

MAX_QUEUED_STEPS = 64  # more than a pipeline has in flight; beyond it the sender waits
_STOP_CHECK_S = 0.1

Step = tuple[AnyStep, Float32Array | None, int]  # hidden rows, and when it was received (time.monotonic_ns)


class Inbox:
    """Filled by the threads of the server, emptied by the one that computes."""

    def __init__(self) -> None:
        self._work: queue.Queue[Step | Hello | None] = queue.Queue(MAX_QUEUED_STEPS)
        self._stopping = threading.Event()

    def put(self, work: Step | Hello) -> None:
        """Waits while the queue is full, but not once it is stopped."""
        while not self._stopping.is_set():
            try:
                self._work.put(work, timeout=_STOP_CHECK_S)
                return
            except queue.Full:
                continue

    def get(self) -> Step | Hello | None:
        """The next one; None once it is stopped."""
        return self._work.get()

    def drain(self) -> None:
        """Forget all that waits, but not that it is stopped."""
        with suppress(queue.Empty):
            while True:
                self._work.get_nowait()
        if self._stopping.is_set():
            self._work.put(None)

    def stop(self) -> None:
        """End the thread that gets, and whoever waits to put."""
        self._stopping.set()
        self.drain()
