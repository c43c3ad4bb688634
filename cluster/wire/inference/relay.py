"""The answer to one request, between the backend, which tells it, and the stream that has its client now."""

from __future__ import annotations

import threading
from collections import deque

from cluster.api.errors import ClusterError, UnreachableError, UsageError
from cluster.api.results import TokenEvent
from cluster.wire.codec.answer import Output, is_last
from cluster.wire.inference.backend import Cancel, EventSink

# Of one answer, in the sense of `Relay.size`. By reasoning: as many tokens as are on their way while a connection hangs
# that is not given up yet.
MAX_RECENT = 2048


class Relay:
    """For any thread, but for `cancel` and `was_sent`, which belong to who holds it."""

    def __init__(self, num_before: int, sink: EventSink, *, keeps_all: bool) -> None:
        """`num_before`: outputs that its client has, so that the backend tells those behind them.

        keeps_all: all of it may be asked for again, not only what was told of late.
        """
        self._lock = threading.Lock()
        self._keeps_all = keeps_all
        self._num_told = num_before
        self._recent: deque[Output] = deque()
        self._sink: EventSink | None = sink
        self.size = 0  # of what is kept: tokens, and log probabilities of others; once the request has ended it stays
        self.cancel: Cancel = _nothing
        self.was_sent = False  # all of it, to a client that may not have it yet

    def put(self, output: Output) -> None:
        """The next of the backend's."""
        with self._lock:
            self._num_told += 1
            self._recent.append(output)
            self.size += _size_of(output)
            while self.size > MAX_RECENT and len(self._recent) > 1 and not self._keeps_all:
                self.size -= _size_of(self._recent.popleft())
            if self._sink is not None:
                self._sink(output)

    @property
    def has_failed(self) -> bool:
        """It ended with an error."""
        with self._lock:
            return bool(self._recent) and isinstance(self._recent[-1], ClusterError)

    def attach(self, num_received: int, sink: EventSink) -> None:
        """All behind these goes to `sink`; who had it before ends. UnreachableError for what is not kept."""
        with self._lock:
            if num_received > self._num_told:
                raise UsageError(f"num_received: {num_received} events, but there were {self._num_told}")
            num_missing = self._num_told - num_received
            if not num_missing and self._recent and is_last(self._recent[-1]):
                raise UsageError(f"num_received: {num_received} events are all of the answer; do not ask again")
            if num_missing > len(self._recent):
                raise lost(num_received)
            if self._sink is not None:
                self._sink(
                    UnreachableError("request: it is answered on another connection, where it was asked for again")
                )
            for place in range(len(self._recent) - num_missing, len(self._recent)):
                sink(self._recent[place])
            self._sink = sink

    def detach(self, sink: EventSink) -> bool:
        """Nothing goes to it any more; False if nothing did."""
        with self._lock:
            if self._sink is not sink:
                return False
            self._sink = None
            return True


def _size_of(output: Output) -> int:
    """How many tokens it tells of, with those that it only gives log probabilities of."""
    if not isinstance(output, TokenEvent):
        return 1
    num_prompt = sum(1 + len(one.top) for one in output.prompt_logprobs) if output.prompt_logprobs else 0
    return 1 + len(output.top) + num_prompt


def lost(num_received: int) -> UnreachableError:
    return UnreachableError(
        f"request: its answer broke off after {num_received} events, and nothing is known of it any more; "
        "ask again from the beginning"
    )


def _nothing() -> None:
    """There is nothing to cancel before it has begun."""
