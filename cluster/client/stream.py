"""What a client reads of a call: its messages, and the events of one request in them."""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

import grpc

from cluster.api.errors import UsageError
from cluster.api.results import TokenEvent
from cluster.client import calls
from cluster.client.connection import check_process
from cluster.wire.access.endpoint import Endpoint
from cluster.wire.access.proof import Proof

# What the program's end waits for until gRPC's thread has let go of a call.
END_S = 1.0


class Messages(Iterator[bytes]):
    """The messages of one call's answer. Closing it cancels the call; nothing more is yielded."""

    def __init__(self, messages: Any, endpoint: Endpoint, proof: Proof | None) -> None:
        """`proof`: what the call was made with; nothing is believed before the answer has proved the secret, too."""
        self._messages = messages
        self._proof = proof
        self._endpoint = endpoint
        self._is_closed = False
        with _lock:
            _open.add(self)

    def __next__(self) -> bytes:
        check_process()
        try:
            if self._is_closed:
                raise StopIteration
            data = next(self._messages, None)
            self._check()
            if data is None:
                raise StopIteration
            return bytes(data)
        except grpc.RpcError as error:
            if self._is_closed:
                raise StopIteration from None
            raise calls.call_error(error, self._endpoint) from None

    def close(self) -> None:
        self._is_closed = True
        self._messages.cancel()

    def end(self) -> None:
        """Cancels the call, and waits until gRPC's thread has done with it."""
        has_ended = threading.Event()
        is_running = self._messages.add_callback(has_ended.set)
        self.close()
        if is_running:
            has_ended.wait(END_S)

    def _check(self) -> None:
        proof, self._proof = self._proof, None
        if proof is not None:
            proof.check(self._messages.initial_metadata(), f"the cluster at {self._endpoint.address}")


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
