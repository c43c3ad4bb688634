"""ProcessGroup: one rank of a ring of workers, over gRPC. Implements `collectives.Ring`."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.wire.access.endpoint import Endpoint, Listener
from cluster.wire.ring.link import RingLink
from cluster.wire.ring.server import RingServer

# Seconds until a rank that is silent counts as lost, as in torch.distributed: another one may compile, or load data.
# That a process is gone is noticed at once.
TIMEOUT_S = 1800.0


class ProcessGroup:
    """Listens when it is made; `join` connects it to the next rank. A group of one needs neither. Close it."""

    def __init__(self, rank: int, world_size: int, listener: Listener | None, timeout_s: float = TIMEOUT_S) -> None:
        """`listener`: None for a group of one. UsageError where it cannot listen."""
        assert listener is not None or world_size == 1
        self.rank, self.world_size = rank, world_size
        self._timeout_s = timeout_s
        self._server = RingServer(rank, world_size, listener) if listener is not None and world_size > 1 else None
        self._link: RingLink | None = None
        self._endpoints: Sequence[Endpoint] = ()
        self._direct: dict[int, RingLink] = {}
        self.address = self._server.start() if self._server is not None else ""

    def join(self, endpoints: Sequence[Endpoint]) -> None:
        """Connect to the next of all ranks, which listen by now, at `endpoints` in their order.

        HandshakeError, UnauthenticatedError, UnreachableError.
        """
        self._endpoints = endpoints
        if self._server is not None:
            after = (self.rank + 1) % self.world_size
            self._link = RingLink(self.rank, self.world_size, endpoints[after])
            # What only sends to others would not be missed by who waits for it: the end of its place in the ring tells.
            self._link.on_end = self._server.direct(after).break_off

    def send(self, data: memoryview) -> None:
        assert self._link is not None, "a group of one has nobody to send to"
        self._link.send(data)

    def receive(self, num_bytes: int) -> bytearray:
        assert self._server is not None, "a group of one has nobody to receive from"
        return self._server.incoming.take(num_bytes, self._timeout_s)

    def send_to(self, rank: int, data: memoryview) -> None:
        """To any other rank, beside the ring. Returns at once; UnreachableError once it is gone."""
        if rank not in self._direct:
            self._direct[rank] = RingLink(self.rank, self.world_size, self._endpoints[rank], rank)
        self._direct[rank].send(data)

    def receive_from(self, rank: int, num_bytes: int) -> bytearray:
        """What another rank sent to this one next, beside the ring. UnreachableError, UsageError."""
        assert self._server is not None, "a group of one has nobody to receive from"
        return self._server.direct(rank).take(num_bytes, self._timeout_s)

    def close(self) -> None:
        """Sends what is on its way, and leaves the ring."""
        for link in (*self._direct.values(), *([] if self._link is None else [self._link])):
            link.close()
        if self._server is not None:
            self._server.stop()
