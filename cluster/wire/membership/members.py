"""The service of the head for its members. Who calls is known from the certificate that TLS demands."""

from __future__ import annotations

from typing import Protocol

import grpc
from google.protobuf.message import Message

from cluster.messages.membership import (
    Admission,
    Confirmation,
    ConfirmRequest,
    Grant,
    LeaveRequest,
    NodesReply,
    RegisterRequest,
    RenewRequest,
)
from cluster.trust.certificate import Certificate
from cluster.trust.identity import Identity, head_server_name
from cluster.wire.codec.membership import decode, encode
from cluster.wire.membership.caller import UnaryClient, caller_of
from cluster.wire.membership.server import UnaryServer
from cluster.wire.transport.tls import CallerTls, CurrentIdentity, server_credentials
from protos import membership_pb2

CALL_TIMEOUT_S = 20.0
LEAVE_TIMEOUT_S = 900.0  # what was computed here is loaded elsewhere
CONFIRM_MARGIN_S = 10.0  # beyond what the head was given to wait
_ADVICE = "see that the cluster is up (cluster status, on the head), and run this again"


class MembersBackend(Protocol):
    """What answers. Called on several threads at once; `caller` is the certificate that was shown."""

    def register(self, caller: Certificate, request: RegisterRequest) -> Grant: ...

    def confirm(self, caller: Certificate, request: ConfirmRequest) -> Confirmation: ...

    def renew(self, caller: Certificate, request: RenewRequest) -> Admission: ...

    def leave(self, caller: Certificate, request: LeaveRequest) -> None: ...

    def nodes(self, caller: Certificate) -> NodesReply: ...


class MembersServer:
    """Serves members of the head's cluster, over mutual TLS."""

    def __init__(self, backend: MembersBackend, identity: CurrentIdentity) -> None:
        """`identity`: the head's."""
        self._backend = backend
        methods = {
            "Register": self._register,
            "Confirm": self._confirm,
            "Renew": self._renew,
            "Leave": self._leave,
            "Nodes": self._nodes,
        }
        # A call that waits until a node is of use has a thread for as long.
        credentials = server_credentials(identity, is_mutual=True)
        self._server = UnaryServer("Members", methods, credentials, num_threads=128, max_calls=256)

    def start(self, host: str, port: int) -> str:
        """The address "host:port" that it listens on; port 0 takes a free one. UsageError."""
        return self._server.start(host, port)

    def stop(self) -> None:
        self._server.stop()

    def _caller(self, context: grpc.ServicerContext) -> Certificate:
        self._server.strangers.admit(context.peer())
        return caller_of(context)

    def _register(self, request: bytes, context: grpc.ServicerContext) -> Message:
        return encode(self._backend.register(self._caller(context), decode(RegisterRequest, request)))

    def _confirm(self, request: bytes, context: grpc.ServicerContext) -> Message:
        return encode(self._backend.confirm(self._caller(context), decode(ConfirmRequest, request)))

    def _renew(self, request: bytes, context: grpc.ServicerContext) -> Message:
        return encode(self._backend.renew(self._caller(context), decode(RenewRequest, request)))

    def _leave(self, request: bytes, context: grpc.ServicerContext) -> Message:
        self._backend.leave(self._caller(context), decode(LeaveRequest, request))
        return membership_pb2.LeaveReply()

    def _nodes(self, request: bytes, context: grpc.ServicerContext) -> Message:
        return encode(self._backend.nodes(self._caller(context)))


class MembersClient(UnaryClient):
    """A member, or the head itself, that asks the head. Errors are those that the head raised; UnreachableError."""

    def __init__(self, address: str, identity: Identity) -> None:
        super().__init__("Members", address, CallerTls.of(identity, head_server_name(identity.cluster_id)), _ADVICE)

    def register(self, request: RegisterRequest) -> Grant:
        return self.call("Register", encode(request), Grant, CALL_TIMEOUT_S)

    def confirm(self, timeout_s: float) -> Confirmation:
        request = encode(ConfirmRequest(timeout_s))
        return self.call("Confirm", request, Confirmation, timeout_s + CONFIRM_MARGIN_S)

    def renew(self, request: RenewRequest) -> Admission:
        return self.call("Renew", encode(request), Admission, CALL_TIMEOUT_S)

    def leave(self, reason: str) -> None:
        """Returns once others compute what this node did. CapacityError where they cannot."""
        self.send("Leave", encode(LeaveRequest(reason)), LEAVE_TIMEOUT_S)

    def nodes(self, timeout_s: float = CALL_TIMEOUT_S) -> NodesReply:
        return self.call("Nodes", membership_pb2.NodesRequest(), NodesReply, timeout_s)
