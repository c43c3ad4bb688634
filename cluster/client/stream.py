"""What a client reads of a call: its messages, and the events of one request in them."""

from __future__ import annotations

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

import grpc

from cluster.api.errors import UsageError
from cluster.api.results import TokenEvent
from cluster.client import calls
from cluster.client.calls import Call
from cluster.client.connection import check_process
from cluster.client.resuming import Keeping, Opened, Resuming

# What the program's end waits for until gRPC's thread has let go of a call.
END_S = 1.0


class Messages(Iterator[bytes]):
    """The messages of one call's answer. Closing it cancels the call; nothing more is yielded."""

    def __init__(self, open_call: Callable[[], Opened], keeping: Keeping, call: Call[Any]) -> None:
        """`open_call` begins the call, and does so again where the connection broke and the call can be made again.

        Nothing is believed before the answer has proved the secret, too.
        """
        self._resuming = Resuming(open_call, keeping, call)
        self._closed = threading.Event()
        self._messages = self._resuming.begin()
        with _lock:
            _open.add(self)

    def __next__(self) -> bytes:
        check_process()
        while not self._closed.is_set():
            try:
                data = next(self._messages, None)
                if self._resuming.must_prove:
                    self._resuming.learn(self._messages.initial_metadata())
                if data is None:
                    break
                self._resuming.received()
                return bytes(data)
            except grpc.RpcError as error:
                if self._closed.is_set() or self._resuming.is_whole:
                    break
                self._go_on(error)
        raise StopIteration

    def close(self) -> None:
        self._closed.set()
        self._messages.cancel()

    def end(self) -> None:
        """Cancels the call, and waits until gRPC's thread has done with it."""
        has_ended = threading.Event()
        is_running = self._messages.add_callback(has_ended.set)
        self.close()
        if is_running:
            has_ended.wait(END_S)

    def _go_on(self, error: grpc.RpcError) -> None:
        """Make the call again, or raise what became of it."""
        pause_s = self._resuming.pause_s(error, time.monotonic())
        if pause_s is None:
            raise calls.call_error(error, self._resuming.endpoint) from None
        if not self._closed.wait(pause_s):
            self._messages = self._resuming.begin_again()
            if self._closed.is_set():
                self._messages.cancel()


_lock = threading.Lock()
_open: WeakSet[Messages] = WeakSet()


@atexit.register
def _end_all() -> None:
    """A call of gRPC takes its lock when it is collected: for ever, if gRPC's thread has died with that meanwhile."""
    try:
        check_process()
    except UsageError:
        return  # a forked child, to which the calls do not belong
    with _lock:
        calls_left = list(_open)
    for messages in calls_left:
        messages.end()


class TokenStream(Iterator[TokenEvent]):
    """The events of one request. Closing it, or dropping it, cancels the request on all stages."""

    def __init__(self, messages: Messages, decode: Callable[[bytes], list[TokenEvent]]) -> None:
        self._messages = messages
        self._decode = decode
        self._events: deque[TokenEvent] = deque()

    def __next__(self) -> TokenEvent:
        while not self._events:
            self._events.extend(self._decode(next(self._messages)))
        return self._events.popleft()

    def close(self) -> None:
        """Cancels the request unless it has ended; nothing more is yielded."""
        self._events.clear()
        self._messages.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
