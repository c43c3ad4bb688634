"""ProcessGroup: one rank of a ring of workers, over gRPC. Implements `collectives.Ring`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from cluster.train.collectives import Part
from cluster.wire.access.endpoint import Endpoint, Listener
from cluster.wire.ring.link import RingLink
from cluster.wire.ring.server import RingServer

# Seconds until a rank that is silent counts as lost, as in torch.distributed: another one may compile, or load data.
# That a process is gone is noticed at once.
TIMEOUT_S = 1800.0


class GroupMember:
    """``NON_GROUP_MEMBER`` is what `new_group` returns to a rank that is not in the group, as torch.distributed's."""

    NON_GROUP_MEMBER = -100


class ProcessGroup:
    """Listens when it is made; `join` connects it to the next rank. A group of one needs neither. Close it.

    Attributes:
        rank: of this process, 0 to `world_size` - 1.
        ranks: by rank in this group, those of the group of all.
    """

    def __init__(
        self,
        rank: int,
        world_size: int,
        listener: Listener | None,
        timeout_s: float = TIMEOUT_S,
        ranks: Sequence[int] | None = None,
    ) -> None:
        """`listener`: None for a group of one. UsageError where it cannot listen."""
        assert listener is not None or world_size == 1
        self.rank, self.world_size = rank, world_size
        self.ranks = tuple(range(world_size) if ranks is None else ranks)
        self.is_closed = False
        self._listener, self._timeout_s = listener, timeout_s
        self._server = RingServer(rank, world_size, listener) if listener is not None and world_size > 1 else None
        self._link: RingLink | None = None
        self._endpoints: Sequence[Endpoint] = ()
        self._direct: dict[int, RingLink] = {}
        self._parts: list[ProcessGroup] = []
        self.address = self._server.start() if self._server is not None else ""

    def __deepcopy__(self, memo: dict[int, Any]) -> ProcessGroup:
        """Itself: a copy of a module that has it, as for averages of weights, is in the same group."""
        return self

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

    def part(self, ranks: Sequence[int]) -> ProcessGroup:
        """A group of some ranks of this one, this one among them. It listens; let it `join_part`. UsageError."""
        found = ProcessGroup(ranks.index(self.rank), len(ranks), self._listener, self._timeout_s, ranks)
        self._parts.append(found)
        return found

    def join_part(self, part: ProcessGroup, addresses: Sequence[str]) -> None:
        """Connect it to its other ranks, which listen at `addresses`, by rank in it. Errors as of `join`."""
        endpoints = [self._endpoints[rank] for rank in part.ranks] if self._endpoints else []
        part.join([replace(one, address=where) for one, where in zip(endpoints, addresses, strict=bool(endpoints))])

    @property
    def shares_memory(self) -> bool:
        """Whether what goes to the next rank passes memory that both share, and so costs little more than copying."""
        return self._link is not None and self._link.shares_memory

    def send(self, data: memoryview) -> None:
        assert self._link is not None, "a group of one has nobody to send to"
        self._link.send(data)

    def receive_each(self, num_bytes: int, use: Callable[[Part], object]) -> None:
        assert self._server is not None, "a group of one has nobody to receive from"
        self._server.incoming.take_each(num_bytes, self._timeout_s, use)

    def send_to(self, rank: int, data: memoryview) -> None:
        """To any other rank, beside the ring. Returns at once; UnreachableError once it is gone."""
        if rank not in self._direct:
            self._direct[rank] = RingLink(self.rank, self.world_size, self._endpoints[rank], rank)
        self._direct[rank].send(data)

    def receive_from(self, rank: int, num_bytes: int) -> bytearray:
        """What another rank sent to this one next, beside the ring. UnreachableError, UsageError."""
        assert self._server is not None, "a group of one has nobody to receive from"
        return self._server.direct(rank).take(num_bytes, self._timeout_s)

    def close_parts(self) -> None:
        """Close the groups that were made of this one."""
        for one in self._parts:
            one.close()
        self._parts.clear()

    def close(self) -> None:
        """Sends what is on its way, and leaves the ring. A second call does nothing."""
        if self.is_closed:
            return
        self.is_closed = True
        self.close_parts()
        for link in (*self._direct.values(), *([] if self._link is None else [self._link])):
            link.close()
        if self._server is not None:
            self._server.stop()
