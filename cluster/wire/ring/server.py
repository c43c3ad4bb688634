"""The gRPC server of one rank: it takes what the rank before sends."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import grpc

from cluster.api.errors import ClusterError, HandshakeError
from cluster.messages.stage import PROTOCOL_VERSION
from cluster.wire.access.endpoint import Listener
from cluster.wire.access.guarded import GuardedServer
from cluster.wire.limits import parse
from cluster.wire.ring.incoming import Incoming
from cluster.wire.transport.status import aborting
from protos import ring_pb2

_NUM_THREADS = 4


class RingServer:
    """Of rank `rank` of `world_size`, for those who know the secret. One stream is taken, from the rank before."""

    def __init__(self, rank: int, world_size: int, listener: Listener) -> None:
        self.incoming = Incoming()
        self._rank, self._world_size = rank, world_size
        self._has_stream = threading.Lock()  # taken once and kept: nobody takes the place of a rank that has broken off
        self._server = GuardedServer(listener, "Ring", {"Pass": self._pass}, "ring", _NUM_THREADS, _NUM_THREADS)

    def start(self) -> str:
        """The address "host:port" that it listens on. UsageError names a port that is in use."""
        return self._server.start()

    def stop(self) -> None:
        """Ends the stream and all threads."""
        self.incoming.break_off("ring: this rank has left it")
        self._server.stop()

    def _pass(self, parts: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[ring_pb2.RingAck]:
        with aborting(context):
            self._greet(parse(ring_pb2.RingPart, next(parts, b"")))
            yield ring_pb2.RingAck()
            reason = "ring: the rank before has left it"
            try:
                for data in parts:
                    self.incoming.put(parse(ring_pb2.RingPart, data).data)
            except ClusterError as error:
                reason = str(error)
                raise
            except Exception as error:  # gRPC raises a bare Exception where the stream breaks
                reason = f"ring: the stream of the rank before broke ({type(error).__name__}); its process is gone"
            finally:
                self.incoming.break_off(reason)

    def _greet(self, first: ring_pb2.RingPart) -> None:
        before = (self._rank - 1) % self._world_size
        if first.protocol_version != PROTOCOL_VERSION:
            raise HandshakeError(
                f"ring: protocol {first.protocol_version} meets {PROTOCOL_VERSION}; run the same version on both ends"
            )
        if (first.rank, first.world_size) != (before, self._world_size):
            raise HandshakeError(
                f"ring: rank {first.rank} of {first.world_size} called rank {self._rank} of {self._world_size}, which "
                f"rank {before} sends to"
            )
        if not self._has_stream.acquire(blocking=False):
            raise HandshakeError(f"ring: rank {before} sends to rank {self._rank} already")
