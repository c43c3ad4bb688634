"""Messages of a Unix socket for a thread that reads them itself, between other things that it does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from cluster.wire.local.frames import Frames

Taken = TypeVar("Taken")


def _keep(error: Exception) -> None:
    """It stays in `Source.error`."""


class Source(Generic[Taken]):
    """What `take` makes of the messages that come; no other thread wakes in between.

    `fileno` and `read` are for the thread that reads; `end` for any, and again.
    """

    def __init__(
        self, frames: Frames, take: Callable[[bytes], Taken | None], refuse: Callable[[Exception], None] = _keep
    ) -> None:
        """`take` gives None for a message that completes nothing; what it raises ends the source, and `refuse` is told,
        on the thread that reads."""
        self._frames = frames
        self._take = take
        self._refuse = refuse
        self.error: Exception | None = None  # why it ended, if a message was wrong
        self.over = threading.Event()

    def fileno(self) -> int:
        return self._frames.fileno()

    def read(self) -> list[Taken]:
        """What has come. Never waits; nothing more will come once it is `over`."""
        found: list[Taken] = []
        try:
            for data in self._frames.take():
                taken = self._take(data)
                if taken is not None:
                    found.append(taken)
            if self._frames.is_over:
                self.end()
        except Exception as error:
            self.error = error
            self._refuse(error)
            self.end()
        return found

    def end(self) -> None:
        self._frames.close()
        self.over.set()


@dataclass(frozen=True, slots=True)
class Reading(Generic[Taken]):
    """What a thread that reads sources itself makes of a message, and how it is given one: until that is over."""

    take: Callable[[bytes], Taken | None]
    lend: Callable[[Source[Taken]], None]
