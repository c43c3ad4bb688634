"""Requests that the coordinator before this one left open: computed on, and held for their clients to come back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from cluster.api.errors import ClusterError, UnreachableError, UsageError
from cluster.coordinator.journal.asked import Asked
from cluster.coordinator.journal.kept import Kept
from cluster.wire.codec.answer import Output
from cluster.wire.inference.backend import Cancel, EventSink

# A client notices at once that its connection broke, and asks again at least once a second. By reasoning: longer than a
# network that hangs for a moment, and no longer than others would wait for its slot.
GRACE_S = 15.0
# Coordinators that died with a request that they had begun, and of the last two with no other one of which no token had
# come: it is what they die of.
MOST_TRIES = 3

Start = Callable[[Asked, tuple[int, ...], EventSink], Cancel]
Forget = Callable[[bytes], None]  # by its ticket

_log = logging.getLogger(__name__)


class TakenUp:
    """By ticket. For any thread."""

    def __init__(self, kept: Iterable[Kept], forget: Forget, grace_s: float = GRACE_S) -> None:
        """`forget`: of a request that was not begun, no other coordinator takes it up."""
        self._lock = threading.Lock()
        self._requests = {one.asked.ticket: _Request(one, forget) for one in kept}
        self._to_begin = list(self._requests.values())  # clients may come back for them before the stages are there
        self._all: tuple[_Request, ...] = tuple(self._to_begin)  # until they have begun
        self._is_closed = False
        self._grace = threading.Timer(grace_s, self._drop)
        self._grace.daemon = True

    def begin(self, start: Start) -> None:
        """Have them computed on, in the order in which they came; once the stages are there.

        Those that nobody has come back for within the grace time from now on are dropped. Those with which coordinators
        died that had begun them are begun last, one after the other, each once the one before it got on: so that it is
        known of which one this process dies, should it. Waits for that.
        """
        self._grace.start()
        requests, self._to_begin = self._to_begin, []
        for request in requests:
            if not request.num_tries:
                request.begin(start)
        for request in requests:
            if request.num_tries and not self._is_closed:
                request.begin(start)
                request.has_moved.wait()
        self._all = ()

    def attach(self, ticket: bytes, num_received: int, sink: EventSink) -> Cancel | None:
        """Answer a request from that event on; None if it is not here. UsageError for more than there have been."""
        with self._lock:
            request = self._requests.get(ticket)
        if request is None:
            return None
        request.attach(num_received, sink)
        with self._lock:
            self._requests.pop(ticket, None)
        return request.cancel

    def close(self) -> None:
        self._grace.cancel()
        self._is_closed = True
        for request in self._all:
            request.has_moved.set()  # nobody waits for it any more

    def _drop(self) -> None:
        with self._lock:
            requests, self._requests = list(self._requests.values()), {}
        for request in requests:
            request.cancel()
        if requests:
            _log.warning("%d requests are dropped: nobody came back for their answers", len(requests))


class _Request:
    """What one was answered before, and what it is answered since."""

    def __init__(self, kept: Kept, forget: Forget) -> None:
        self._forget = forget
        self.num_tries = kept.num_tries
        self.has_moved = threading.Event()  # it was answered something since, or is not computed
        self._asked = kept.asked
        self._outputs: list[Output] = list(kept.events)  # that nobody has taken
        self._begun = tuple(event.token for event in kept.events if event.token is not None)
        self._lock = threading.Lock()
        self._sink: EventSink | None = None
        self._cancel: Cancel | None = None
        self._is_cancelled = False

    def begin(self, start: Start) -> None:
        if self._is_cancelled:
            self.has_moved.set()
            return
        try:
            if self.num_tries >= MOST_TRIES:
                raise UnreachableError(
                    f"coordinator: it died {self.num_tries} times while this was computed; do not ask for it again"
                )
            cancel = start(self._asked, self._begun, self._put)
        except Exception as error:  # whatever it is, the others are begun
            if not isinstance(error, ClusterError):
                _log.exception("a request cannot be begun again")
                error = ClusterError(f"request: it cannot be gone on with: {type(error).__name__}; report a bug")
            self._put(error)
            return
        with self._lock:
            self._cancel = cancel
            is_cancelled = self._is_cancelled
        if is_cancelled:
            cancel()

    def attach(self, num_received: int, sink: EventSink) -> None:
        with self._lock:
            if num_received > len(self._outputs):
                raise UsageError(f"num_received: {num_received} events, but there were {len(self._outputs)}")
            for output in self._outputs[num_received:]:
                sink(output)
            self._outputs.clear()
            self._sink = sink

    def cancel(self) -> None:
        with self._lock:
            self._is_cancelled = True
            cancel = self._cancel
        self.has_moved.set()
        if cancel is None:
            self._forget(self._asked.ticket)
        else:
            cancel()

    def _put(self, output: Output) -> None:
        with self._lock:
            if self._sink is None:
                self._outputs.append(output)
            else:
                self._sink(output)
        if not self.has_moved.is_set():
            self.has_moved.set()
