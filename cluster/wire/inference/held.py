"""Requests whose clients may come back for their answers: computed on for a while, and what was told of late is kept.

A client whose connection breaks asks again, within a second of noticing it, and names how much it has. One that wants
no more says so, by its request's ticket: to gRPC's servers both look the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import NamedTuple

from cluster.messages.pictures import PicturedPrompt
from cluster.wire.codec.inference import PromptRequest
from cluster.wire.inference.backend import Cancel, EventSink, InferenceBackend
from cluster.wire.inference.relay import Relay, lost

# How long a request is computed on whose connection broke. By reasoning: a client tries ten times a second, and slots
# of clients that were killed are not free before.
HOLD_S = 5.0
# How long the end of an answer is kept that was sent whole: longer than it takes both ends to notice that what was on
# its way is lost.
ENDED_S = 20.0
# Of all that were sent whole, in the sense of `Relay.size`. By reasoning: some 25 MB.
MAX_ENDED = 65536


class Claim(NamedTuple):
    """What a stream has of a request. Both do nothing once it is another stream's."""

    end: Callable[[], None]  # its client has all that it wanted
    leave: Callable[[], None]  # its connection is gone, and its client may come back on another one


class HeldRequests:
    """By ticket. Lives on one event loop; the backend tells its events from any thread."""

    def __init__(self, backend: InferenceBackend) -> None:
        self._backend = backend
        self._relays: dict[bytes, Relay] = {}
        self._timers: dict[
            bytes, asyncio.TimerHandle
        ] = {}  # of those that no stream has; those that wait longest first
        self._num_ended = 0  # in the sense of MAX_ENDED, of those among them that were sent whole

    def resume(self, request: PromptRequest, sink: EventSink, *, keeps_all: bool = False) -> Claim | None:
        """Go on with a request that is kept, here or by the backend; None for one that is to begin.

        keeps_all: its answer is sent when it is whole, so that all of it may be asked for again. UnreachableError where
        what is asked for was lost.
        """
        if not request.ticket:
            return None
        relay = self._relays.get(request.ticket)
        if relay is not None:
            relay.attach(request.num_received, sink)
            self._stop_timer(request.ticket)
            return self._claim(request.ticket, relay, sink)
        relay = Relay(request.num_received, sink, keeps_all=keeps_all)
        cancel = self._backend.resume(request.ticket, request.num_received, relay.put)
        if cancel is None:
            if request.num_received:
                raise lost(request.num_received)
            return None
        return self._add(request.ticket, relay, cancel, sink)

    def begin(
        self,
        request: PromptRequest,
        prompt: list[int] | PicturedPrompt,
        sink: EventSink,
        client: str,
        *,
        keeps_all: bool = False,
    ) -> Claim:
        """Start a request, unless it has begun: its client may have asked again while its text became tokens."""
        ticket = request.ticket
        if not ticket or not self._backend.keeps_requests:
            cancel = self._backend.generate(prompt, request.params, sink, client, ticket)
            return Claim(cancel, cancel)
        if ticket in self._relays:
            claim = self.resume(request, sink)
            assert claim is not None, "it is here"
            return claim
        relay = Relay(0, sink, keeps_all=keeps_all)
        return self._add(ticket, relay, self._backend.generate(prompt, request.params, relay.put, client, ticket), sink)

    def cancel(self, tickets: Iterable[bytes]) -> None:
        """Their clients want no more of them. Those that are not here are left out."""
        for ticket in tickets:
            self._drop(ticket)

    def close(self) -> None:
        """Cancels all that no stream has."""
        for ticket in list(self._timers):
            self._drop(ticket)

    def _add(self, ticket: bytes, relay: Relay, cancel: Cancel, sink: EventSink) -> Claim:
        relay.cancel = cancel
        self._relays[ticket] = relay
        return self._claim(ticket, relay, sink)

    def _claim(self, ticket: bytes, relay: Relay, sink: EventSink) -> Claim:
        def end() -> None:
            if self._relays.get(ticket) is relay and relay.detach(sink):
                if relay.has_failed:  # who asks again, as of a queue that was full, is to begin anew
                    self._relays.pop(ticket).cancel()
                    return
                relay.cancel()
                self._hold(ticket, ENDED_S)
                relay.was_sent = True
                self._num_ended += relay.size
                self._forget_some()

        def leave() -> None:
            if self._relays.get(ticket) is relay and relay.detach(sink):
                self._hold(ticket, HOLD_S)

        return Claim(end, leave)

    def _hold(self, ticket: bytes, time_s: float) -> None:
        self._timers[ticket] = asyncio.get_running_loop().call_later(time_s, self._drop, ticket)

    def _stop_timer(self, ticket: bytes) -> None:
        timer = self._timers.pop(ticket, None)
        if timer is not None:
            timer.cancel()
            relay = self._relays[ticket]
            if relay.was_sent:
                relay.was_sent = False
                self._num_ended -= relay.size

    def _drop(self, ticket: bytes) -> None:
        if ticket in self._relays:
            self._stop_timer(ticket)
            self._relays.pop(ticket).cancel()

    def _forget_some(self) -> None:
        """Of those that were sent whole, the oldest, while they are too many."""
        for ticket in list(self._timers):
            if self._num_ended <= MAX_ENDED:
                return
            if self._relays[ticket].was_sent:
                self._drop(ticket)
