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
from cluster.wire.local.frames import Frames
from cluster.wire.local.meeting import Meeting
from cluster.wire.local.source import Reading, Source
from cluster.wire.transport.status import error_from_call
from protos import stage_pb2

# Long enough for a connection across a busy machine, short enough to tell a person soon.
OPEN_TIMEOUT_S = 10.0
# A process that dies leaves both of its connections, one shortly after the other.
BOTH_ENDS_S = 0.1
# A step that a stage computed when its epoch ended is over by then, or what it holds is not waited for.
HOLD_TIMEOUT_S = 10.0

Reply = TypeVar("Reply", stage_pb2.StepAck, stage_pb2.StageEvent, stage_pb2.SampledStep)


class StageStream(Generic[Reply]):
    """Reads the replies of one stream on a thread of its own, until it breaks or is closed.

    `on_message` and `on_lost` are called on that thread; `on_lost` once, unless `close` came first. An error
    that `on_message` raises counts as the loss of the stream.

    Where the other end is on this machine and comes to where it is invited, the messages pass through `frames`, and the
    call only tells that it lives. They are then left to `reading`, if there is one: `on_message` gets none of them.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        hello: Hello,
        kind: type[Reply],
        on_message: Callable[[Reply], None],
        on_lost: Callable[[ClusterError], None],
        reading: Reading[Any] | None = None,
    ) -> None:
        self.frames: Frames | None = None  # once it is open, if the other end came
        self._meeting: Meeting | None = None
        self._reader: threading.Thread | None = None
        self._frames_error: ClusterError | None = None
        self._call_is_over = threading.Event()
        self.peer = f"stage {hello.stage} at {endpoint.where}"
        self._endpoint = endpoint
        self._epoch = hello.epoch
        self._kind: type[Reply] = kind
        self._on_message: Callable[[Reply], None] = on_message
        self._on_lost = on_lost
        self._reading = reading
        self._source: Source[Any] | None = None  # that is lent
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

    def invite(self) -> stage_pb2.Invitation | None:
        """To be sent with Hello by the call that is opened next; None where nobody could come."""
        self._meeting = Meeting.offer() if self._endpoint.may_meet else None
        return None if self._meeting is None else self._meeting.invitation

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
                f"{self.peer}: no answer within {timeout_s:g} s; check that it runs and can be reached"
            ) from None
        finally:
            self._end_meeting()

    def close(self) -> None:
        """Ends the stream and its thread; `on_lost` will not be called any more."""
        self._closed.set()
        self._end_meeting()
        if self._thread.ident is None:
            return
        self._call.cancel()
        self._end_frames()
        _join(self._thread)
        _join(self._reader)  # which the other one may have started until its end
        if self.frames is not None:
            self.frames.free()

    def _read(self) -> None:
        try:
            for data in self._call:
                self._take(parse(self._kind, data))
            error: ClusterError = UnreachableError(f"{self.peer}: it ended the stream; connect again")
        except grpc.RpcError as raised:
            error = self._error_of(raised)
        except ClusterError as raised:
            error = raised
        self._call_is_over.set()
        if self._source is not None:
            self._source.end()  # who reads it may be at something else, and the end is to be known
        _join(self._reader, BOTH_ENDS_S)  # what was said before the end is heard before it
        self._lose(self._frames_error or error)

    def _read_frames(self, frames: Frames) -> None:
        """In a thread of its own; the end of the stream is told by the one that reads the call."""
        try:
            if self._source is not None and self._reading is not None:
                self._reading.lend(self._source)
                if self._source.error is not None:
                    raise self._source.error
            else:
                for data in frames.messages():
                    self._on_message(parse(self._kind, data))
            if not self._call_is_over.wait(BOTH_ENDS_S):
                self._frames_error = UnreachableError(f"{self.peer}: it left the socket between us; connect again")
        except ClusterError as error:
            self._frames_error = error
        finally:
            self._call.cancel()

    def _error_of(self, raised: grpc.RpcError) -> ClusterError:
        """A stream that was open broke for no reason of TLS, and its loss is to be known at once."""
        advice = "its process or the network is gone"
        if self._opened.done():
            return error_from_call(raised, self.peer, advice)
        return self._endpoint.error_of(raised, self.peer, advice)

    def _take(self, message: Reply) -> None:
        if self._opened.done():
            self._on_message(message)
        elif not message.HasField("hello") or message.hello.epoch != self._epoch:
            raise UnreachableError(f"{self.peer}: it did not answer Hello; is this the port of a stage?")
        else:
            if self._proof is not None:
                self._proof.check(self._call.initial_metadata(), self.peer)
            if message.hello.has_come:
                self._meet()
            self._opened.set_result(None)

    def _meet(self) -> None:
        self.frames = None if self._meeting is None else self._meeting.accept()
        if self.frames is None:
            raise UnreachableError(f"{self.peer}: somebody else came to the socket between us; connect again")
        if self._reading is not None:
            self._source = Source(self.frames, self._reading.take)
        reader = threading.Thread(
            target=self._read_frames, args=(self.frames,), name=f"{self._thread.name}-local", daemon=True
        )
        reader.start()
        self._reader = reader

    def _end_meeting(self) -> None:
        if self._meeting is not None:
            self._meeting.close()

    def _end_frames(self) -> None:
        if self._source is not None:
            self._source.end()
        elif self.frames is not None:
            self.frames.close()

    def _lose(self, error: ClusterError) -> None:
        self._call.cancel()
        self._end_frames()
        self._error = error
        if not self._opened.done():
            self._opened.set_exception(error)
        elif not self._closed.is_set():
            self._on_lost(error)


def _join(thread: threading.Thread | None, timeout_s: float | None = None) -> None:
    if thread is not None and thread is not threading.current_thread():
        thread.join(timeout_s)
