"""The service for machines that are no nodes yet: they know the head by its certificate, and bring a join string."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import grpc
from google.protobuf.message import Message

from cluster.messages.membership import Admission, JoinRequest
from cluster.trust.identity import head_server_name
from cluster.wire.access.strangers import Strangers
from cluster.wire.codec.membership import decode, encode
from cluster.wire.membership.caller import UnaryClient
from cluster.wire.membership.server import UnaryServer, peer_host
from cluster.wire.transport.tls import CallerTls, CurrentIdentity, server_credentials, with_authority

MAX_CALLS = 64
# One address cannot fill the calls, and a machine that joins proves itself with the first message that it sends.
MAX_STRANGERS_PER_HOST = 8
STRANGER_GRACE_S = 3.0
JOIN_TIMEOUT_S = 20.0  # the head's call back takes up to 5 s of it
_ADVICE = "see that the cluster is up, and run this again"


class DoorBackend(Protocol):
    """What decides. Called on several threads at once."""

    def join(self, request: JoinRequest, peer: str, admit: Callable[[], None]) -> Admission:
        """Make the machine at the address `peer` a node; `admit` is to be told once it is no stranger."""


class DoorServer:
    """Serves the door to whoever comes, over TLS without a certificate of the caller's."""

    def __init__(self, backend: DoorBackend, identity: CurrentIdentity) -> None:
        """`identity`: the head's."""
        self._backend = backend
        credentials = server_credentials(with_authority(identity), is_mutual=False)
        self._server = UnaryServer(
            "Door",
            {"Join": self._join},
            credentials,
            # A call has its thread before its message is there, if that ever comes.
            num_threads=MAX_CALLS,
            max_calls=MAX_CALLS,
            strangers=Strangers(MAX_STRANGERS_PER_HOST, STRANGER_GRACE_S),
            max_calls_per_connection=1,
        )

    def start(self, host: str, port: int) -> str:
        """The address "host:port" that it listens on; port 0 takes a free one. UsageError."""
        return self._server.start(host, port)

    def stop(self) -> None:
        self._server.stop()

    def _join(self, request: bytes, context: grpc.ServicerContext) -> Message:
        asked = decode(JoinRequest, request)
        peer = context.peer()
        return encode(self._backend.join(asked, peer_host(context), lambda: self._server.strangers.admit(peer)))


class DoorClient(UnaryClient):
    """A machine that wants to be a node."""

    def __init__(self, address: str, ca_pem: bytes, cluster_id: str) -> None:
        """`ca_pem`: of the authority that the join string names."""
        super().__init__("Door", address, CallerTls(head_server_name(cluster_id), ca_pem), _ADVICE)

    def join(self, request: JoinRequest) -> Admission:
        """ClusterError as the head raised it, UnreachableError."""
        return self.call("Join", encode(request), Admission, JOIN_TIMEOUT_S)
