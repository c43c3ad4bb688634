"""Events on their way from the computing thread to one watcher."""

from __future__ import annotations

from collections.abc import Iterator
from queue import SimpleQueue

from cluster.errors import CapacityError
from cluster.wire.codec_event import Event

# A coordinator that lags by so many events has stopped; it is cut off rather than allowed to fill the memory.
MAX_QUEUED_EVENTS = 4096


class EventQueue:
    """Bounded, but `put` never waits: the computing thread must not depend on who listens."""

    def __init__(self) -> None:
        self._events: SimpleQueue[Event | None] = SimpleQueue()
        self._is_over = False

    def put(self, event: Event) -> None:
        if self._events.qsize() < MAX_QUEUED_EVENTS:
            self._events.put(event)
        else:
            self._is_over = True

    def end(self) -> None:
        self._events.put(None)

    def __iter__(self) -> Iterator[Event]:
        """Events until `end`; CapacityError once some had to be dropped."""
        while (event := self._events.get()) is not None:
            if self._is_over:
                raise CapacityError(f"watch: more than {MAX_QUEUED_EVENTS} events were waiting; read them faster")
            yield event
