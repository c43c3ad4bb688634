"""The service of a node that joined, for its head: who is there, and that it is to end."""

from __future__ import annotations

from typing import Protocol

import grpc
from google.protobuf.message import Message

from cluster.api.errors import UnauthenticatedError
from cluster.messages.membership import EndRequest, Presence
from cluster.trust.identity import Identity, server_name
from cluster.wire.codec.membership import decode, encode
from cluster.wire.membership.caller import UnaryClient, caller_of
from cluster.wire.membership.server import UnaryServer
from cluster.wire.transport.tls import CallerTls, CurrentIdentity, server_credentials
from protos import membership_pb2

PING_TIMEOUT_S = 5.0
END_TIMEOUT_S = 10.0
_ADVICE = "see that cluster join runs on that node, and that its ports are open"


class AttendantBackend(Protocol):
    """What attends to the node. Called on several threads at once."""

    def ping(self) -> Presence: ...

    def end(self, reason: str) -> None:
        """Begin to end the node; it returns at once."""


class AttendantServer:
    """Serves the nodes of its cluster, over mutual TLS."""

    def __init__(self, backend: AttendantBackend, identity: CurrentIdentity) -> None:
        """`identity`: this node's."""
        self._backend = backend
        credentials = server_credentials(identity, is_mutual=True)
        methods = {"Ping": self._ping, "End": self._end}
        self._server = UnaryServer("Attendant", methods, credentials, num_threads=4, max_calls=16)

    def start(self, host: str, port: int) -> str:
        """The address "host:port" that it listens on; port 0 takes a free one. UsageError."""
        return self._server.start(host, port)

    def stop(self) -> None:
        self._server.stop()

    def _ping(self, request: bytes, context: grpc.ServicerContext) -> Message:
        self._server.strangers.admit(context.peer())
        return encode(self._backend.ping())

    def _end(self, request: bytes, context: grpc.ServicerContext) -> Message:
        self._server.strangers.admit(context.peer())
        caller = caller_of(context)
        if not caller.is_head:
            raise UnauthenticatedError(f"end: {caller.node} is not the head, which alone may end nodes; run it there")
        self._backend.end(decode(EndRequest, request).reason)
        return membership_pb2.EndReply()


class AttendantClient(UnaryClient):
    """A node that asks the node `node` at `address`. Errors are those that it raised; UnreachableError."""

    def __init__(self, address: str, node: str, identity: Identity) -> None:
        super().__init__("Attendant", address, CallerTls.of(identity, server_name(node, identity.cluster_id)), _ADVICE)

    def ping(self) -> Presence:
        return self.call("Ping", membership_pb2.PingRequest(), Presence, PING_TIMEOUT_S)

    def end(self, reason: str) -> None:
        """Only the head is listened to."""
        self.send("End", encode(EndRequest(reason)), END_TIMEOUT_S)
