"""The three services over real TLS: who may call what, and what hostile messages get."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.errors import ClusterError, UnauthenticatedError, UnreachableError, UsageError
from cluster.membership.versions import this_version
from cluster.messages.membership import (
    Admission,
    Confirmation,
    ConfirmRequest,
    EndRequest,
    Grant,
    JoinRequest,
    LeaveRequest,
    ListedNode,
    NodesReply,
    NodeState,
    Presence,
    RegisterRequest,
    RenewRequest,
)
from cluster.trust.authority import Authority
from cluster.trust.certificate import Certificate
from cluster.trust.identity import Identity
from cluster.trust.node_key import new_key, signing_request
from cluster.wire.codec.membership import _KINDS, decode, encode
from cluster.wire.membership.attendant import AttendantClient, AttendantServer
from cluster.wire.membership.caller import UnaryClient
from cluster.wire.membership.door import DoorClient, DoorServer
from cluster.wire.membership.members import MembersClient, MembersServer
from cluster.wire.transport.tls import CallerTls
from protos import membership_pb2

NOW_S = time.time()
HOST = f"127.8.{random.randrange(256)}.1"
AUTHORITY = Authority.new("abcdefgh23", NOW_S)
OTHER = Authority.new("abcdefgh23", NOW_S)
HEAD = AUTHORITY.head_identity("node-1", [HOST], NOW_S)
VERSIONS = this_version()
REQUEST = JoinRequest("abcdef", "s" * 26, "request", "node-2", "10.0.0.2", "0" * 32, VERSIONS)
GRANT = Grant("10.0.0.1:8471", "t", "s", "c", "i", "n", 8469, True, VERSIONS)
RECORDS = [
    REQUEST,
    Admission("pem", True),
    RegisterRequest("10.0.0.2", VERSIONS),
    GRANT,
    ConfirmRequest(3.5),
    Confirmation("4 cores"),
    RenewRequest("request", "10.0.0.2", "0" * 32),
    LeaveRequest("done"),
    NodesReply((ListedNode("node-2", "10.0.0.2", NodeState.LEFT, False, 1.5, 2.5, VERSIONS),)),
    Presence("node-2", "0.1.0", "a stage"),
    EndRequest("down"),
]


def node(name: str = "node-2", authority: Authority = AUTHORITY, at_s: float = NOW_S) -> Identity:
    key_pem = new_key()
    cert_pem = authority.sign(signing_request(key_pem, name), name, [HOST], at_s)
    return Identity(name, authority.cluster_id, authority.certificate_pem, cert_pem, key_pem)


class Backend:
    """Says who called."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def join(self, request: JoinRequest, peer: str, admit: Callable[[], None]) -> Admission:
        admit()
        return Admission(f"{request.name} from {peer}", True)

    def register(self, caller: Certificate, request: RegisterRequest) -> Grant:
        return replace(GRANT, instance=caller.node)

    def confirm(self, caller: Certificate, request: ConfirmRequest) -> Confirmation:
        return Confirmation(caller.node)

    def renew(self, caller: Certificate, request: RenewRequest) -> Admission:
        return Admission(caller.node, False)

    def leave(self, caller: Certificate, request: LeaveRequest) -> None:
        raise UsageError(f"{caller.node}: {request.reason}; stay")

    def nodes(self, caller: Certificate) -> NodesReply:
        return NodesReply(())

    def ping(self) -> Presence:
        return Presence("node-2", "0.1.0", "")

    def end(self, reason: str) -> None:
        self.ended.append(reason)


@pytest.fixture
def backend() -> Backend:
    return Backend()


@pytest.fixture
def door(backend: Backend) -> Iterator[str]:
    server = DoorServer(backend, lambda: HEAD)
    yield server.start(HOST, 0)
    server.stop()


@pytest.fixture
def members(backend: Backend) -> Iterator[str]:
    server = MembersServer(backend, lambda: HEAD)
    yield server.start(HOST, 0)
    server.stop()


@pytest.fixture
def attendant(backend: Backend) -> Iterator[str]:
    identity = node()
    server = AttendantServer(backend, lambda: identity)
    yield server.start(HOST, 0)
    server.stop()


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_every_record_is_read_back(record: Any) -> None:
    assert decode(type(record), encode(record).SerializeToString()) == record


@given(st.sampled_from(sorted(_KINDS, key=str)), st.binary(max_size=300))
def test_bytes_that_are_no_message_are_one_error(kind: type, data: bytes) -> None:
    try:
        decode(kind, data)
    except UsageError as error:
        assert "\n" not in str(error)


@given(st.data())
def test_damaged_messages_are_one_error_or_within_bounds(data: st.DataObject) -> None:
    record = data.draw(st.sampled_from(RECORDS))
    sent = bytearray(encode(record).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        if sent:
            sent[data.draw(st.integers(0, len(sent) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UsageError):
        decode(type(record), bytes(sent))


@pytest.mark.parametrize("field", ["token_id", "secret", "request_pem", "name", "host", "nonce"])
def test_a_field_that_is_too_long_is_named(field: str) -> None:
    message = membership_pb2.JoinRequest(**{field: "a" * 5000}, versions=membership_pb2.Versions())
    with pytest.raises(UsageError, match=f"join.{field}: length"):
        decode(JoinRequest, message.SerializeToString())


def test_a_stranger_is_heard_at_the_door_by_the_address_that_he_calls_from(door: str) -> None:
    with DoorClient(door, AUTHORITY.certificate_pem, AUTHORITY.cluster_id) as client:
        assert client.join(REQUEST).cert_pem == "node-2 from 127.0.0.1"


def test_a_door_of_another_authority_is_told_nothing(door: str) -> None:
    with DoorClient(door, OTHER.certificate_pem, OTHER.cluster_id) as client, pytest.raises(UnreachableError):
        client.join(REQUEST)


def test_a_node_cannot_stand_in_for_the_head(backend: Backend) -> None:
    identity = node()
    server = DoorServer(backend, lambda: identity)
    address = server.start(HOST, 0)
    try:
        with (
            DoorClient(address, AUTHORITY.certificate_pem, AUTHORITY.cluster_id) as client,
            pytest.raises(UnreachableError),
        ):
            client.join(REQUEST)
    finally:
        server.stop()


def test_members_are_known_by_their_certificates(members: str) -> None:
    with MembersClient(members, node("node-7")) as client:
        assert client.register(RegisterRequest("10.0.0.2", VERSIONS)).instance == "node-7"
        assert client.confirm(1).summary == "node-7"
        assert client.renew(RenewRequest("request", "10.0.0.2", "")).cert_pem == "node-7"
        assert client.nodes().nodes == ()
        with pytest.raises(UsageError, match="node-7: why; stay"):
            client.leave("why")


@pytest.mark.parametrize(
    "identity",
    [node(authority=OTHER), node(at_s=NOW_S - 400 * 86400), replace(node(), cert_pem=b"", key_pem=b"")],
    ids=["of another authority", "ended", "none"],
)
def test_whose_certificate_does_not_count_is_no_member(members: str, identity: Identity) -> None:
    trusting = replace(identity, ca_pem=AUTHORITY.certificate_pem)
    with MembersClient(members, trusting) as client, pytest.raises(UnreachableError):
        client.nodes()


def test_only_the_head_may_end_a_node(attendant: str, backend: Backend) -> None:
    with AttendantClient(attendant, "node-2", node("node-3")) as neighbour:
        assert neighbour.ping().name == "node-2"
        with pytest.raises(UnauthenticatedError, match="node-3 is not the head"):
            neighbour.end("because")
    assert backend.ended == []
    with AttendantClient(attendant, "node-2", HEAD) as head:
        head.end("cluster down")
    assert backend.ended == ["cluster down"]


def test_one_node_cannot_stand_in_for_another(attendant: str) -> None:
    with AttendantClient(attendant, "node-9", HEAD) as client, pytest.raises(UnreachableError):
        client.ping()


def test_a_message_that_is_too_large_is_refused_and_the_door_stays_open(door: str) -> None:
    tls = CallerTls(f"{AUTHORITY.cluster_id}.ggml-cluster", AUTHORITY.certificate_pem)
    with UnaryClient("Door", door, tls, "") as client:
        with pytest.raises(ClusterError):
            client.send("Join", membership_pb2.JoinRequest(name="a" * (1 << 20)), 5)
        with pytest.raises(UsageError, match="versions: it is missing"):
            client.send("Join", membership_pb2.JoinRequest(), 5)
        assert client.send("Join", encode(REQUEST), 5)


def test_plaintext_is_not_spoken(door: str) -> None:
    with grpc.insecure_channel(door) as channel, pytest.raises(grpc.RpcError):
        channel.unary_unary("/ggml_cluster.v1.Door/Join")(b"", timeout=3)
