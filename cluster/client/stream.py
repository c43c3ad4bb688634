"""What a client reads of a call: its messages, and the events of one request in them."""

from __future__ import annotations

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

import grpc

from cluster.api.errors import UsageError
from cluster.api.results import TokenEvent
from cluster.client import calls
from cluster.client.calls import Call
from cluster.client.cancels import CANCELS, END_S, Send
from cluster.client.connection import check_process
from cluster.client.open_calls import OpenCalls
from cluster.client.resuming import Keeping, Opened, Resuming


class Messages(Iterator[bytes]):
    """The messages of one call's answer. Closing or dropping it cancels what was asked; nothing more is yielded."""

    def __init__(self, open_call: Callable[[], Opened], keeping: Keeping, call: Call[Any], send_cancel: Send) -> None:
        """`open_call` begins the call, and does so again where the connection broke and the call can be made again.

        `send_cancel`: says that no more is wanted of requests. Nothing is believed before the answer has proved the
        secret, too.
        """
        self._is_over = threading.Event()
        self._open_tickets, self._send_cancel = call.tickets, send_cancel
        self._resuming = Resuming(open_call, keeping, call)
        CANCELS.start()
        self._messages = self._resuming.begin()

    def __next__(self) -> bytes:
        check_process()
        while not self._is_over.is_set():
            try:
                data = next(self._messages, None)
                if self._resuming.must_prove:
                    self._resuming.learn(self._messages.initial_metadata())
                if data is None:
                    self._is_over.set()
                    break
                self._resuming.received()
                return bytes(data)
            except grpc.RpcError as error:
                if self._is_over.is_set() or self._resuming.is_whole:
                    break
                self._go_on(error)
        raise StopIteration

    def close(self) -> None:
        self._cancel()
        self._messages.cancel()

    def end(self) -> None:
        """Cancels the call, and waits until gRPC's thread has done with it."""
        has_ended = threading.Event()
        is_running = self._messages.add_callback(has_ended.set)
        self.close()
        if is_running:
            has_ended.wait(END_S)

    def __del__(self) -> None:
        if hasattr(self, "_messages"):  # it was begun
            self._cancel()

    def _cancel(self) -> None:
        """Where it is dropped, too: nothing in here waits, or takes a lock that is not this object's."""
        if not self._is_over.is_set():
            self._is_over.set()
            if tickets := self._open_tickets():
                CANCELS.tell(self._send_cancel, tickets)

    def _go_on(self, error: grpc.RpcError) -> None:
        """Make the call again, or raise what became of it."""
        pause_s = self._resuming.pause_s(error, time.monotonic())
        if pause_s is None:
            self._is_over.set()
            raise calls.call_error(error, self._resuming.endpoint) from None
        if not self._is_over.wait(pause_s):
            self._messages = self._resuming.begin_again()
            if self._is_over.is_set():
                self._messages.cancel()


class OpenMessages(OpenCalls[Messages]):
    """Those of one client; the end of the program ends them, too."""

    def __init__(self) -> None:
        super().__init__()
        _of_clients.add(self)

    def close(self) -> None:
        """Closes all, and waits a moment until the cluster knows of it."""
        for messages in self.all():
            messages.close()
        CANCELS.flush()

    def end(self) -> None:
        """The same, and waits until gRPC's thread has done with them."""
        for messages in self.all():
            messages.end()


_of_clients: OpenCalls[OpenMessages] = OpenCalls()


@atexit.register
def _end_all() -> None:
    """A call of gRPC takes its lock when it is collected: for ever, if gRPC's thread has died with that meanwhile."""
    try:
        check_process()
    except UsageError:
        return  # a forked child, to which the calls do not belong
    for opened in _of_clients.all():
        opened.end()
    CANCELS.flush()


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
