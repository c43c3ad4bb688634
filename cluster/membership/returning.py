"""What a node does to take part again: it finds its head, renews its certificate, and fetches the secrets."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from cluster.api.errors import ClusterError, UnreachableError, UsageError
from cluster.membership.dial_back import answering, new_nonce
from cluster.membership.preflight import check_tls, own_identity
from cluster.membership.versions import this_version
from cluster.messages.membership import Grant, RegisterRequest, RenewRequest
from cluster.node.advertised import is_own_address
from cluster.node.disk import disk_error
from cluster.node.home import Home, NodeRecord, write_home
from cluster.node.port_plan import NUM_PORTS, PortPlan
from cluster.node.secret import Secret, read_secret, write_secret
from cluster.trust.certificate import check_certificate, is_due
from cluster.trust.identity import (
    Identity,
    head_server_name,
    write_identity,
)
from cluster.trust.names import check_host
from cluster.trust.node_key import signing_request
from cluster.wire.membership.members import MembersClient
from cluster.wire.transport.channel import check_address, host_of, join_address, port_of

TIMEOUT_S = 5.0


def renew_if_due(home: Home, host: str | None = None) -> Home:
    """The same node, with a new certificate where the one that it has is old, or not for `host`.

    `host`: the address that it is to have from now on; by default the one from which it reaches the head. Where
    that is another than before, nothing may listen at the node's port there meanwhile. ClusterError.
    """
    identity, record = own_identity(home), home.record
    assert record is not None
    check_tls(home, record.head_host, record.ports.members, head_server_name(record.cluster_id))
    host = check_host(host or _own_host(record))
    try:
        if host == record.host and not is_due(check_certificate(identity, host, time.time()), time.time()):
            return home
    except ClusterError:
        pass  # a new one is asked for, whatever is wrong with this one
    # The key stays, so that one file is replaced, and certificate and key are a pair at any time.
    nonce, request_pem = new_nonce(), signing_request(identity.key_pem, record.name).decode("ascii")
    with ExitStack() as stack:
        if host != record.host:
            stack.enter_context(answering(host, record.ports.node, nonce))
        members = stack.enter_context(members_at(identity, record))
        admission = members.renew(RenewRequest(request_pem, host, nonce))
    renewed = replace(identity, cert_pem=admission.cert_pem.encode())
    check_certificate(renewed, host, time.time())
    return write_membership(home.folder, renewed, replace(record, host=host, is_secure=admission.is_secure))


def follow_head(home: Home, address: str) -> Home:
    """The same node, whose head has moved to `address`, "host:port": where machines join now.

    ClusterError where that is not its head, which shows by its certificate, or it is not to be reached.
    """
    identity, record = own_identity(home), home.record
    assert record is not None
    host, ports = door_at(address)
    check_certificate(identity, record.host, time.time())
    check_tls(home, host, ports.members, head_server_name(record.cluster_id))
    return write_membership(home.folder, identity, replace(record, head_host=host, first_port=ports.first))


def register(home: Home) -> Grant:
    """Tell the head that this node is about to take part, or still does, and keep the secrets that it answers with.

    A certificate that is old is renewed on the way.

    ClusterError with the exact reason: this node's certificate does not count, or the head is not there, does not know
    it any more, or runs other versions.
    """
    identity, record = own_identity(home), home.record
    assert record is not None
    certificate = check_certificate(identity, record.host, time.time())
    if is_due(certificate, time.time()):
        home = renew_if_due(home, record.host)
        identity = own_identity(home)
    check_tls(home, record.head_host, record.ports.members, head_server_name(record.cluster_id))
    with members_at(identity, record) as members:
        grant = members.register(RegisterRequest(record.host, this_version()))
    _keep(home.secret_file, grant.secret)
    _keep(home.client_secret_file, grant.client_secret)
    return grant


def members_of(home: Home) -> MembersClient:
    """What asks this node's head. Close it. ClusterError where this machine is no node."""
    identity, record = own_identity(home), home.record
    assert record is not None
    return members_at(identity, record)


def door_at(address: str) -> tuple[str, PortPlan]:
    check_address(address)
    port = port_of(address)
    if port > 65536 - NUM_PORTS:
        raise UsageError(f"address: {address}: no port of a cluster's door; give that of cluster token create")
    return host_of(address), PortPlan(port)


def _own_host(record: NodeRecord) -> str:
    """The address that this node has had, while its machine has it; else that from which it reaches the head."""
    return record.host if is_own_address(record.host) else _reach(record)[1]


def _reach(record: NodeRecord) -> tuple[str, str]:
    """The addresses of the head and of this machine, of a connection between both. UnreachableError."""
    host, port = record.head_host, record.ports.members
    try:
        with socket.create_connection((host, port), TIMEOUT_S) as connection:
            return str(connection.getpeername()[0]), str(connection.getsockname()[0])
    except TimeoutError:
        reason = f"no answer within {TIMEOUT_S:g} s"
    except OSError as error:
        reason = error.strerror or str(error)
    raise UnreachableError(
        f"the head at {host} port {port}: {reason}; see that cluster up runs there, and that the port is open"
    )


def members_at(identity: Identity, record: NodeRecord) -> MembersClient:
    """A client at the head's address: gRPC would look up its name by itself, which may take half a minute."""
    return MembersClient(join_address(_reach(record)[0], record.ports.members), identity)


def _keep(path: Path, text: str) -> None:
    """In `path`, where it is not there yet."""
    secret = Secret.of_text(text)
    try:
        if path.is_file() and read_secret(path) == secret:
            return
    except (ClusterError, OSError):
        pass  # damaged, or open to others: it is replaced
    try:
        write_secret(path, secret)
    except OSError as error:
        raise disk_error(path, error, "set XDG_STATE_HOME") from error


def write_membership(folder: Path, identity: Identity, record: NodeRecord) -> Home:
    try:
        home = Home(folder, record)
        write_identity(home.identity_folder, identity)
        return write_home(folder, record)
    except OSError as error:
        raise disk_error(folder, error, "set XDG_STATE_HOME") from error
