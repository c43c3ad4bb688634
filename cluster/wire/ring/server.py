"""The gRPC server of one rank: it takes what the rank before sends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress

import grpc

from cluster.api.errors import ClusterError, HandshakeError, UnreachableError
from cluster.messages.stage import PROTOCOL_VERSION
from cluster.wire.access.endpoint import Listener
from cluster.wire.access.guarded import GuardedServer
from cluster.wire.limits import check_range, parse
from cluster.wire.local.frames import Frames
from cluster.wire.local.meeting import coming_to
from cluster.wire.local.memory import RELEASED, Read
from cluster.wire.ring.incoming import Incoming
from cluster.wire.transport.status import aborting
from protos import ring_pb2

_SPARE_THREADS = 3
_MAX_SHARED_BYTES = 1 << 30
_FILE_TIMEOUT_S = 5.0  # who announced it sends it as soon as it hears that we have come


class RingServer:
    """Of rank `rank` of `world_size`, for those who know the secret.

    One stream of the ring is taken, from the rank before, and one direct stream from each other rank.
    """

    def __init__(self, rank: int, world_size: int, listener: Listener) -> None:
        self.incoming = Incoming()
        self._rank, self._world_size = rank, world_size
        self._has_stream = threading.Lock()  # taken once and kept: nobody takes the place of a rank that has broken off
        self._direct: dict[int, Incoming] = {other: Incoming() for other in range(world_size) if other != rank}
        self._have_direct: set[int] = set()
        self._changes = threading.Lock()
        num_threads = world_size + _SPARE_THREADS  # a stream holds one for as long as it lives
        self._server = GuardedServer(listener, "Ring", {"Pass": self._pass}, "ring", num_threads, num_threads)

    def start(self) -> str:
        """The address "host:port" that it listens on. UsageError names a port that is in use."""
        return self._server.start()

    def stop(self) -> None:
        """Ends the stream and all threads."""
        for incoming in (self.incoming, *self._direct.values()):
            incoming.break_off("ring: this rank has left it")
        self._server.stop()

    def direct(self, source: int) -> Incoming:
        """What rank `source` sends to this one outside of the ring."""
        return self._direct[source]

    def _pass(self, parts: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[ring_pb2.RingAck]:
        with aborting(context):
            first = parse(ring_pb2.RingPart, next(parts, b""))
            incoming = self._greeted(first)
            who = f"rank {first.rank}" if first.is_direct else "the rank before"
            reason = f"ring: {who} has left it"
            try:
                with coming_to(first.invitation, context) as frames:
                    yield ring_pb2.RingAck(has_come=frames is not None)
                    if frames is not None and first.shared_bytes:
                        _fill_from_memory(incoming, frames, first.shared_bytes)
                    else:
                        for data in _data_in(parts) if frames is None else frames.messages():
                            incoming.put(data)
                    for _ in parts:  # behind a socket nothing comes here but the end, which says how it came
                        pass
            except ClusterError as error:
                reason = str(error)
                raise
            except Exception as error:  # gRPC raises a bare Exception where the stream breaks
                reason = f"ring: the stream of {who} broke ({type(error).__name__}); its process is gone"
            finally:
                incoming.break_off(reason)
                # A rank ends its direct streams before that of the ring: nothing more comes from it either way.
                if not first.is_direct:
                    self._direct[first.rank].break_off(reason)

    def _greeted(self, first: ring_pb2.RingPart) -> Incoming:
        """Where the parts of this stream go. HandshakeError."""
        before = (self._rank - 1) % self._world_size
        if first.protocol_version != PROTOCOL_VERSION:
            raise HandshakeError(
                f"ring: protocol {first.protocol_version} meets {PROTOCOL_VERSION}; run the same version on both ends"
            )
        if first.is_direct:
            return self._greeted_direct(first)
        if (first.rank, first.world_size) != (before, self._world_size):
            raise HandshakeError(
                f"ring: rank {first.rank} of {first.world_size} called rank {self._rank} of {self._world_size}, which "
                f"rank {before} sends to"
            )
        if not self._has_stream.acquire(blocking=False):
            raise HandshakeError(f"ring: rank {before} sends to rank {self._rank} already")
        return self.incoming

    def _greeted_direct(self, first: ring_pb2.RingPart) -> Incoming:
        if first.world_size != self._world_size or first.rank not in self._direct:
            raise HandshakeError(
                f"ring: rank {first.rank} of {first.world_size} called rank {self._rank} of {self._world_size} directly"
            )
        with self._changes:
            if first.rank in self._have_direct:
                raise HandshakeError(f"ring: rank {first.rank} sends to rank {self._rank} directly already")
            self._have_direct.add(first.rank)
        return self._direct[first.rank]


def _fill_from_memory(incoming: Incoming, frames: Frames, num_bytes: int) -> None:
    """Each message is a place in memory that the other end writes into, and is told when it has been read."""
    check_range("ring: shared_bytes", num_bytes, 1, _MAX_SHARED_BYTES)
    memory = Read(frames.receive_file(_FILE_TIMEOUT_S), num_bytes)

    def read() -> None:
        with suppress(UnreachableError):  # who has left needs no memory
            frames.send(RELEASED)

    for word in frames.messages():
        incoming.put(memory.part(word), read)


def _data_in(parts: Iterator[bytes]) -> Iterator[bytes]:
    for part in parts:
        yield parse(ring_pb2.RingPart, part).data
