"""What a link and a watch have in common: one stream to a stage, its handshake, and the news of its end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

import grpc

from cluster.api.errors import ClusterError, UnreachableError
from cluster.messages.stage import Hello
from cluster.wire.access.endpoint import Endpoint
from cluster.wire.access.proof import Proof
from cluster.wire.limits import parse
from cluster.wire.transport.status import error_from_call
from protos import stage_pb2

# Long enough for a connection across a busy machine, short enough to tell a person soon.
OPEN_TIMEOUT_S = 10.0
# A step that a stage computed when its epoch ended is over by then, or what it holds is not waited for.
HOLD_TIMEOUT_S = 10.0

Reply = TypeVar("Reply", stage_pb2.StepAck, stage_pb2.StageEvent, stage_pb2.SampledStep)


class StageStream(Generic[Reply]):
    """Reads the replies of one stream on a thread of its own, until it breaks or is closed.

    `on_message` and `on_lost` are called on that thread; `on_lost` once, unless `close` came first. An error
    that `on_message` raises counts as the loss of the stream.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        hello: Hello,
        kind: type[Reply],
        on_message: Callable[[Reply], None],
        on_lost: Callable[[ClusterError], None],
    ) -> None:
        self._peer = f"stage {hello.stage} at {endpoint.where}"
        self._endpoint = endpoint
        self._epoch = hello.epoch
        self._kind: type[Reply] = kind
        self._on_message: Callable[[Reply], None] = on_message
        self._on_lost = on_lost
        self._opened: Future[None] = Future()
        self._closed = threading.Event()
        self._error: ClusterError | None = None
        self._thread = threading.Thread(
            target=self._read, name=f"wire-{kind.DESCRIPTOR.name}-{hello.stage}", daemon=True
        )

    @property
    def error(self) -> ClusterError | None:
        """Why the stream is gone, if it is."""
        return self._error

    def open(self, call: Any, proof: Proof | None, timeout_s: float) -> None:
        """Reads `call`, a stream that was started with `proof`, and waits for the answer to Hello.

        HandshakeError if it was refused, UnreachableError if none came.
        """
        self._call = call
        self._proof = proof
        self._thread.start()
        try:
            self._opened.result(timeout_s)
        except TimeoutError:
            raise UnreachableError(
                f"{self._peer}: no answer within {timeout_s:g} s; check that it runs and can be reached"
            ) from None

    def close(self) -> None:
        """Ends the stream and its thread; `on_lost` will not be called any more."""
        self._closed.set()
        if self._thread.ident is None:
            return
        self._call.cancel()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _read(self) -> None:
        try:
            for data in self._call:
                self._take(parse(self._kind, data))
            error: ClusterError = UnreachableError(f"{self._peer}: it ended the stream; connect again")
        except grpc.RpcError as raised:
            error = self._error_of(raised)
        except ClusterError as raised:
            error = raised
        self._lose(error)

    def _error_of(self, raised: grpc.RpcError) -> ClusterError:
        """A stream that was open broke for no reason of TLS, and its loss is to be known at once."""
        advice = "its process or the network is gone"
        if self._opened.done():
            return error_from_call(raised, self._peer, advice)
        return self._endpoint.error_of(raised, self._peer, advice)

    def _take(self, message: Reply) -> None:
        if self._opened.done():
            self._on_message(message)
        elif not message.HasField("hello") or message.hello.epoch != self._epoch:
            raise UnreachableError(f"{self._peer}: it did not answer Hello; is this the port of a stage?")
        else:
            if self._proof is not None:
                self._proof.check(self._call.initial_metadata(), self._peer)
            self._opened.set_result(None)

    def _lose(self, error: ClusterError) -> None:
        self._call.cancel()
        self._error = error
        if not self._opened.done():
            self._opened.set_exception(error)
        elif not self._closed.is_set():
            self._on_lost(error)
