"""What a process of the cluster proves itself with to other processes of it, here and on other nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cluster.api.errors import ClusterError
from cluster.node.home import LOOPBACK, Home
from cluster.node.secret import Secret, read_secret
from cluster.trust.held_identity import HeldIdentity
from cluster.trust.identity import server_name
from cluster.wire.access.endpoint import Endpoint, Listener
from cluster.wire.transport.channel import host_of, join_address, port_of
from cluster.wire.transport.tls import CallerTls, CurrentIdentity, with_authority


@dataclass(frozen=True, slots=True)
class Keys:
    """The secret that ports ask for, and who this node is. Processes of one node speak over loopback, in plaintext."""

    secret: Secret
    identity: CurrentIdentity | None = None  # None where nothing is encrypted: on a machine alone, or by --insecure
    node: str = ""  # the name of our own node; "" where there is one machine only
    host: str = LOOPBACK  # where servers of our node listen
    ports: int | range = 0  # 0 takes a free one, of a range the first free one is taken
    may_meet: bool = True

    def meeting(self, may_meet: bool) -> Keys:
        """The same, for streams that may leave gRPC for a Unix socket, or may not."""
        return replace(self, may_meet=may_meet)

    @property
    def for_stages(self) -> Keys:
        """What stages ask each other, and the coordinator, for."""
        return replace(self, secret=self.secret.for_stages)

    def asking(self, secret: Secret) -> Keys:
        """The same node, for ports that ask for another secret."""
        return replace(self, secret=secret)

    def endpoint(self, address: str, node: str = "") -> Endpoint:
        """How to call the server at `address` of the node of that name. UnauthenticatedError if our identity is bad."""
        return replace(self._endpoint(address, node), may_meet=self.may_meet)

    def _endpoint(self, address: str, node: str) -> Endpoint:
        if node and node == self.node and host_of(address) != LOOPBACK:
            return Endpoint(join_address(LOOPBACK, port_of(address)), self.secret, node=node)
        if self.identity is None:
            return Endpoint(address, self.secret, node="" if host_of(address) == LOOPBACK else node)
        assert node, "between nodes, it is known which one is called"
        identity = self.identity()
        return Endpoint(address, self.secret, CallerTls.of(identity, server_name(node, identity.cluster_id)), node)

    @property
    def listener(self) -> Listener:
        """For a server that processes of all nodes call."""
        return Listener(self.secret, self.host, self.ports, self.identity, has_loopback=self.host != LOOPBACK)


def keys_of(home: Home) -> Keys:
    """The keys of the node whose home this is. ClusterError where they are not there or not safe."""
    try:
        secret = read_secret(home.secret_file)
    except FileNotFoundError as error:
        raise ClusterError(f"{home.secret_file}: the cluster's secret is not there; run cluster up") from error
    return Keys(secret, identity_of(home), home.node, home.host, home.record.ports.own if home.record else 0)


def client_listener(home: Home, secret: Secret, host: str, port: int) -> Listener:
    """For the server that clients call: on a machine alone at `host`:`port`, else at the node's own address.

    Clients show no certificate; they know the cluster by its own, and prove `secret`. `port` 0 is a free one, and in a
    cluster of several machines that of its plan. ClusterError as for `keys_of`.
    """
    if home.record is None:
        return Listener(secret, host, port)
    port = port or home.record.ports.api
    current = identity_of(home)
    identity = with_authority(current) if current else None
    return Listener(secret, home.host, port, identity, is_mutual=False)


def identity_of(home: Home) -> CurrentIdentity | None:
    """What servers of this node show; None where nothing is encrypted. ClusterError."""
    if home.record is None or not home.record.is_secure:
        return None
    return HeldIdentity(home.identity_folder, home.record.name, home.record.cluster_id).current
