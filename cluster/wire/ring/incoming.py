"""Incoming: the bytes that the rank before has sent, until they are asked for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from cluster.api.errors import UnreachableError, UsageError
from cluster.wire.limits import MAX_MESSAGE_BYTES

# What may lie here unread; beyond it the sender waits. Its next chunk comes while the last one is being added.
MAX_HELD_BYTES = 4 * MAX_MESSAGE_BYTES

Part = bytes | memoryview


class Incoming:
    """Filled by the thread of the stream, emptied by the one that trains."""

    def __init__(self) -> None:
        self._parts: deque[tuple[Part, Callable[[], None] | None]] = deque()
        self._held_bytes = 0
        self._broken = ""
        self._changed = threading.Condition()

    def put(self, data: Part, read: Callable[[], None] | None = None) -> None:
        """Takes one part; waits while too much lies here. `read` is called when nobody needs its memory any more.

        UnreachableError once nobody will read it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._broken or self._held_bytes < MAX_HELD_BYTES)
            if self._broken:
                raise UnreachableError(self._broken)
            self._parts.append((data, read))
            self._held_bytes += len(data)
            self._changed.notify_all()

    def take(self, num_bytes: int, timeout_s: float) -> bytearray:
        """The next `num_bytes`, which end where a part ends. UnreachableError if they do not come."""
        taken = bytearray()
        self.take_each(num_bytes, timeout_s, taken.extend)
        return taken

    def take_each(self, num_bytes: int, timeout_s: float, use: Callable[[Part], object]) -> None:
        """The same, each part given to `use` as soon as it is here: it may look at it only while it is called."""
        missing = num_bytes
        while missing:
            part, read = self._next(timeout_s)
            if len(part) > missing:
                raise UsageError(
                    f"ring: {num_bytes} bytes were expected and more came; all ranks must exchange the same arrays in "
                    "order"
                )
            use(part)
            missing -= len(part)
            if read is not None:
                read()

    def break_off(self, reason: str) -> None:
        """Nothing comes any more; what has come can still be taken."""
        with self._changed:
            self._broken = self._broken or reason
            self._changed.notify_all()

    def _next(self, timeout_s: float) -> tuple[Part, Callable[[], None] | None]:
        with self._changed:
            if not self._changed.wait_for(lambda: self._parts or self._broken, timeout_s):
                raise UnreachableError(
                    f"ring: nothing came for {timeout_s:.0f} s; the rank before waits for something else, or hangs"
                )
            if not self._parts:
                raise UnreachableError(self._broken)
            part, read = self._parts.popleft()
            self._held_bytes -= len(part)
            self._changed.notify_all()
            return part, read
