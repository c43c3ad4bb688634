"""The servers of membership, on the head and on a node that joined: what an actor and `cluster join` run."""

from __future__ import annotations

from collections.abc import Callable

from cluster.membership.door import Cluster, DoorService
from cluster.membership.preflight import held_identity, own_identity
from cluster.membership.versions import this_version
from cluster.messages.membership import Presence
from cluster.node.home import Home
from cluster.trust.kept_authority import read_authority
from cluster.wire.membership.attendant import AttendantClient, AttendantServer
from cluster.wire.membership.door import DoorServer
from cluster.wire.membership.members import MembersServer
from cluster.wire.transport.channel import join_address


class Doors:
    """Both ports of the head: one for machines that join, one for members."""

    def __init__(self, home: Home, cluster: Cluster) -> None:
        """`home`: the head's, with its record, identity and authority. ClusterError where one of them is missing."""
        identity = held_identity(home)
        assert home.record is not None
        self._record = home.record
        service = DoorService(home.folder, home.record, read_authority(home.folder), this_version(), cluster)
        self._door = DoorServer(service, identity)
        self._members = MembersServer(service, identity)

    def start(self) -> str:
        """The address "host:port" that machines join at. UsageError names a port that is in use."""
        self._members.start(self._record.host, self._record.ports.members)
        try:
            return self._door.start(self._record.host, self._record.ports.join)
        except BaseException:
            self._members.stop()
            raise

    def stop(self) -> None:
        """Ends both, and all their calls and threads."""
        self._door.stop()
        self._members.stop()


class Attendant:
    """The port of a node that joined: it says who is there, and hears from the head that it is to end."""

    def __init__(self, home: Home, end: Callable[[str], None], running: Callable[[], str]) -> None:
        """`end` begins to end the node, and is told why; `running` says what runs there, for people."""
        identity = held_identity(home)
        assert home.record is not None
        self._record = home.record
        self._end = end
        self._running = running
        self._server = AttendantServer(self, identity)

    def start(self) -> str:
        """The address "host:port" that it listens on. UsageError names a port that is in use."""
        return self._server.start(self._record.host, self._record.ports.node)

    def stop(self) -> None:
        self._server.stop()

    def ping(self) -> Presence:
        return Presence(self._record.name, this_version().program, self._running())

    def end(self, reason: str) -> None:
        self._end(reason)


def attendant_of(home: Home, node: str, host: str) -> AttendantClient:
    """What asks the node `node` at `host`. `home` is our own: only the head may end nodes. Close it. ClusterError."""
    assert home.record is not None
    return AttendantClient(join_address(host, home.record.ports.node), node, own_identity(home))
