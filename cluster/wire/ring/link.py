"""RingLink: the stream to the next rank, or a direct one to another."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from queue import Full, Queue
from typing import Any, NoReturn, cast

import grpc

from cluster.api.errors import ClusterError, UnreachableError
from cluster.messages.stage import PROTOCOL_VERSION
from cluster.wire.access.endpoint import Endpoint, sent_with
from cluster.wire.limits import parse
from cluster.wire.local.frames import Frames
from cluster.wire.local.meeting import Meeting
from cluster.wire.local.memory import Sharing, Written
from cluster.wire.ring.incoming import MAX_HELD_BYTES
from cluster.wire.transport.methods import method_path
from protos import ring_pb2

PART_BYTES = 1 << 20
MAX_QUEUED_PARTS = 64
# Memory between two ranks of one machine, half of what a rank may hold unread elsewhere: what a collective sends before
# it receives has to fit twice, since the next rank may not have read what came before, and a part is left at the end.
SHARED_BYTES = MAX_HELD_BYTES // 2 + PART_BYTES
OPEN_TIMEOUT_S = 30.0
CLOSE_TIMEOUT_S = 5.0
BOTH_ENDS_S = 0.1  # a process that dies leaves its socket and its connection, one shortly after the other
_PASS = method_path("Ring", "Pass")
_ADVICE = "see what became of that worker"


class RingLink:
    """From rank `rank` of `world_size` to the next one, at `endpoint`; or to rank `direct_to`. Close it.

    Where the other rank is on this machine and comes to where it is invited, the bytes pass through a Unix socket, or
    those of the ring through memory whose places pass the socket; the call only tells that it lives.
    """

    def __init__(self, rank: int, world_size: int, endpoint: Endpoint, direct_to: int | None = None) -> None:
        """HandshakeError or UnauthenticatedError where the other end does not agree, UnreachableError."""
        self._first = ring_pb2.RingPart(
            protocol_version=PROTOCOL_VERSION, rank=rank, world_size=world_size, is_direct=direct_to is not None
        )
        self._what = f"rank {(rank + 1) % world_size if direct_to is None else direct_to} at {endpoint.where}"
        self._endpoint = endpoint
        self._is_bounded = direct_to is None
        self._parts: Queue[bytes | None] = Queue(MAX_QUEUED_PARTS if self._is_bounded else 0)
        self._frames: Frames | None = None
        self._sharing: Sharing | None = None
        self.on_end: Callable[[str], None] = lambda reason: None
        self._ended = threading.Event()
        self._error: ClusterError | None = None
        self._channel = endpoint.open_channel()
        try:
            self._open()
        except ClusterError:
            self._channel.close()
            raise
        self._watch = threading.Thread(target=self._wait_for_end, name="ring-link", daemon=True)
        self._watch.start()

    @property
    def shares_memory(self) -> bool:
        """Whether bytes go through memory that both ranks share."""
        return self._sharing is not None

    def send(self, data: memoryview) -> None:
        """Queues bytes, which are copied. UnreachableError once the other rank is gone.

        Waits while the next rank does not read. A direct stream takes all that it is given: two ranks that send to each
        other before either receives, as stages do, would wait for ever.
        """
        for begin in range(0, len(data), PART_BYTES):
            if self._sharing is not None:
                self._share(self._sharing, data[begin : begin + PART_BYTES])
                continue
            part = bytes(data[begin : begin + PART_BYTES])
            if self._frames is not None:
                self._send_frame(self._frames, part)
                continue
            message = ring_pb2.RingPart(data=part).SerializeToString()
            while not self._put(message):
                pass

    def close(self) -> None:
        """Sends what is queued, ends the stream, its connection and its thread."""
        if not self._ended.is_set():
            if self._frames is not None:
                self._frames.flush(CLOSE_TIMEOUT_S)
                self._frames.close()
            self._put(None, CLOSE_TIMEOUT_S)
            self._ended.wait(CLOSE_TIMEOUT_S)
        self._call.cancel()
        self._channel.close()
        self._watch.join(CLOSE_TIMEOUT_S)
        if self._sharing is not None:
            self._sharing.close()
        if self._frames is not None:
            self._frames.free()

    def _share(self, sharing: Sharing, part: memoryview) -> None:
        try:
            while not sharing.put(part, 0.1):
                self._check_there()
        except UnreachableError:
            self._raise_gone()

    def _send_frame(self, frames: Frames, part: bytes) -> None:
        while self._is_bounded and not frames.wait_for_room(MAX_QUEUED_PARTS, 0.1):
            self._check_there()
        try:
            frames.send(part, sys.maxsize)
        except UnreachableError:
            self._raise_gone()

    def _raise_gone(self) -> NoReturn:
        self._ended.wait(BOTH_ENDS_S)  # the call may say why
        self._check_there()
        raise UnreachableError(f"ring: {self._what} has left it") from None

    def _check_there(self) -> None:
        if self._ended.is_set():
            raise UnreachableError(f"ring: {self._error or f'{self._what} has left it'}")

    def _put(self, part: bytes | None, timeout_s: float = 0.1) -> bool:
        self._check_there()
        try:
            self._parts.put(part, timeout=timeout_s)
        except Full:
            return False
        return True

    def _open(self) -> None:
        proof = self._endpoint.prove(_PASS)
        meeting = Meeting.offer() if self._endpoint.may_meet else None
        # A direct stream takes all that it is given, and memory has an end.
        memory = Written.of(SHARED_BYTES) if meeting is not None and self._is_bounded else None
        if meeting is not None:
            self._first.invitation.CopyFrom(meeting.invitation)
            self._first.shared_bytes = 0 if memory is None else memory.num_bytes
        passes: Any = cast(Any, self._channel.stream_stream(_PASS, bytes, bytes))
        self._call = passes(self._messages(), metadata=sent_with(proof))
        late = threading.Timer(OPEN_TIMEOUT_S, self._call.cancel)
        late.start()
        try:
            ack = parse(ring_pb2.RingAck, next(self._call))
            if proof is not None:
                proof.check(self._call.initial_metadata(), self._what)
            if ack.has_come:
                self._frames = None if meeting is None else meeting.accept()
                if self._frames is None:
                    raise UnreachableError(f"ring: somebody else came to the socket to {self._what}; {_ADVICE}")
                if memory is not None:
                    self._sharing = Sharing(self._frames, memory)
        except grpc.RpcError as error:
            raise self._endpoint.error_of(error, self._what, _ADVICE) from error
        finally:
            late.cancel()
            if meeting is not None:
                meeting.close()
            if memory is not None and self._sharing is None:
                memory.close()

    def _messages(self) -> Iterator[bytes]:
        yield self._first.SerializeToString()
        while (part := self._parts.get()) is not None:
            yield part

    def _wait_for_end(self) -> None:
        try:
            for _ in self._call:
                pass
        except grpc.RpcError as error:
            if not self._call.cancelled():
                self._error = self._endpoint.error_of(error, self._what, _ADVICE)
        finally:
            self._ended.set()
            if self._frames is not None:
                self._frames.close()
            self._let_go()
            self.on_end(f"ring: {self._error or f'{self._what} has left it'}")

    def _let_go(self) -> None:
        """Ends gRPC's thread that waits for parts: whatever is queued goes nowhere."""
        while not self._parts.empty():
            self._parts.get_nowait()
        self._parts.put(None)
