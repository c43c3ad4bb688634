"""What a machine does to become a node of a cluster, and to take part in it again."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from cluster.api.errors import ClusterError, UnreachableError, UsageError
from cluster.membership.dial_back import answering, new_nonce
from cluster.membership.meeting import Met, meet
from cluster.membership.preflight import check_tls, own_identity
from cluster.membership.versions import this_version
from cluster.messages.membership import Grant, JoinRequest, RegisterRequest, RenewRequest
from cluster.node.advertised import is_own_address
from cluster.node.disk import disk_error
from cluster.node.home import Home, NodeRecord, read_home, write_home
from cluster.node.port_plan import NUM_PORTS, PortPlan
from cluster.node.private import check_folder
from cluster.node.secret import Secret, read_secret, write_secret
from cluster.node.state import state_path
from cluster.trust.certificate import check_certificate, check_issued, is_due, key_hash
from cluster.trust.identity import (
    Identity,
    head_server_name,
    read_identity,
    read_next_key,
    write_identity,
    write_next_key,
)
from cluster.trust.join_string import JoinString
from cluster.trust.kept_authority import AUTHORITY, read_authority
from cluster.trust.names import check_host, check_node_name
from cluster.trust.node_key import is_key, new_key, signing_request
from cluster.wire.membership.door import DoorClient
from cluster.wire.membership.members import MembersClient
from cluster.wire.transport.channel import check_address, join_address

TIMEOUT_S = 5.0


def join(folder: Path, address: str, join_string: JoinString, name: str, host: str | None = None) -> Home:
    """Make this machine the node `name` of the cluster whose head answers at `address`, "host:port".

    `folder` is its home from now on: what was there of another membership is replaced. `host`: the address of this
    machine that all nodes are to use; by default the one from which it reaches the head. It takes some 10 s at most.

    ClusterError that says what keeps it out, and what to do.
    """
    name, (head_host, ports) = check_node_name(name), _door_at(address)
    met = meet(head_host, ports.join, join_string.ca_hash, time.time())
    host = check_host(host or met.own_host)
    _make(folder)
    _check_not_alone(folder)
    _check_not_head(folder, met)
    _check_not_elsewhere(read_or_none(folder), met)
    key_pem, nonce = _key(folder, name, met), new_nonce()
    request = JoinRequest(
        token_id=join_string.id,
        secret=join_string.secret,
        request_pem=signing_request(key_pem, name).decode("ascii"),
        name=name,
        host=host,
        nonce=nonce,
        versions=this_version(),
    )
    cluster_id = met.head.cluster_id
    with (
        answering(host, ports.node, nonce),
        DoorClient(join_address(met.head_host, ports.join), met.ca_pem, cluster_id) as door,
    ):
        admission = door.join(request)
    identity = Identity(name, cluster_id, met.ca_pem, admission.cert_pem.encode(), key_pem)
    check_certificate(identity, host, time.time())
    record = NodeRecord(name, cluster_id, host, ports.first, admission.is_secure, head_host)
    return _write(folder, identity, record)


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
        members = stack.enter_context(_members(identity, record))
        admission = members.renew(RenewRequest(request_pem, host, nonce))
    renewed = replace(identity, cert_pem=admission.cert_pem.encode())
    check_certificate(renewed, host, time.time())
    return _write(home.folder, renewed, replace(record, host=host, is_secure=admission.is_secure))


def follow_head(home: Home, address: str) -> Home:
    """The same node, whose head has moved to `address`, "host:port": where machines join now.

    ClusterError where that is not its head, which shows by its certificate, or it is not to be reached.
    """
    identity, record = own_identity(home), home.record
    assert record is not None
    host, ports = _door_at(address)
    check_certificate(identity, record.host, time.time())
    check_tls(home, host, ports.members, head_server_name(record.cluster_id))
    return _write(home.folder, identity, replace(record, head_host=host, first_port=ports.first))


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
    with _members(identity, record) as members:
        grant = members.register(RegisterRequest(record.host, this_version()))
    _keep(home.secret_file, grant.secret)
    _keep(home.client_secret_file, grant.client_secret)
    return grant


def members_of(home: Home) -> MembersClient:
    """What asks this node's head. Close it. ClusterError where this machine is no node."""
    identity, record = own_identity(home), home.record
    assert record is not None
    return _members(identity, record)


def read_or_none(folder: Path) -> Home | None:
    """The home of a node; None where this machine is none, or what is there cannot be read."""
    try:
        home = read_home(folder)
    except ClusterError:
        return None
    return home if home.record is not None else None


def _door_at(address: str) -> tuple[str, PortPlan]:
    check_address(address)
    host, _, port = address.rpartition(":")
    if int(port) > 65536 - NUM_PORTS:
        raise UsageError(f"address: {address}: no port of a cluster's door; give that of cluster token create")
    return host.removeprefix("[").removesuffix("]"), PortPlan(int(port))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        check_folder(folder, others_may_look=True)
    except OSError as error:
        raise disk_error(folder, error, "set XDG_STATE_HOME") from error


def _check_not_alone(folder: Path) -> None:
    """A cluster of this machine alone has its secrets in the same home."""
    if state_path().parent == folder and state_path().exists() and read_or_none(folder) is None:
        raise UsageError("join: a cluster was started on this machine, for it alone; end that first: cluster down")


def _check_not_head(folder: Path, met: Met) -> None:
    """A head joins no cluster: not its own, and no other while it has nodes of its own."""
    try:
        own = read_authority(folder)
    except FileNotFoundError:
        return
    if own.cluster_id == met.head.cluster_id:
        raise UsageError("join: this machine is the head of that cluster; run it on another machine")
    home = read_or_none(folder)
    if home is not None and home.record is not None and home.record.cluster_id == own.cluster_id:
        raise UsageError(
            f"join: this machine is the head of cluster {own.cluster_id}; end that first: cluster down; and if its "
            f"nodes are not to come back, delete {folder / AUTHORITY}"
        )


def _check_not_elsewhere(home: Home | None, met: Met) -> None:
    """A node of another cluster that lives there stays it, until it leaves."""
    if home is None or home.record is None or home.record.cluster_id == met.head.cluster_id:
        return
    record = home.record
    try:
        with _members(own_identity(home), record) as members:
            listed = members.nodes(TIMEOUT_S).nodes
    except ClusterError:
        return  # it is not there, or does not know this node any more
    if any(node.name == record.name and node.is_alive for node in listed):
        raise UsageError(
            f"join: this machine takes part in cluster {record.cluster_id}, whose head is {record.head_host}, as "
            f"{record.name}; leave that first: cluster leave"
        )


def _key(folder: Path, name: str, met: Met) -> bytes:
    """The key to ask with. By that of the same node, or of a try whose answer was lost, the head knows it again."""
    home = Home(folder)
    former = _former_key(home.identity_folder, name, met)
    if former is not None:
        return former
    key_pem = read_next_key(home.identity_folder)
    if key_pem is None or not is_key(key_pem):
        key_pem = new_key()
        try:
            write_next_key(home.identity_folder, key_pem)
        except OSError as error:
            raise disk_error(folder, error, "set XDG_STATE_HOME") from error
    return key_pem


def _former_key(folder: Path, name: str, met: Met) -> bytes | None:
    """The key of the same node; None where there is none of use: it is damaged, ended, or another's."""
    try:
        identity = read_identity(folder, name, met.head.cluster_id)
        certificate = check_issued(identity.cert_pem, met.ca_pem, time.time())
        is_pair = key_hash(signing_request(identity.key_pem, name)) == certificate.key_hash
    except (ClusterError, OSError):
        return None
    return identity.key_pem if is_pair and certificate.node == name else None


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


def _members(identity: Identity, record: NodeRecord) -> MembersClient:
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


def _write(folder: Path, identity: Identity, record: NodeRecord) -> Home:
    try:
        home = Home(folder, record)
        write_identity(home.identity_folder, identity)
        return write_home(folder, record)
    except OSError as error:
        raise disk_error(folder, error, "set XDG_STATE_HOME") from error
