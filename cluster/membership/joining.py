"""What a machine does to become a node of a cluster."""

from __future__ import annotations

import time
from pathlib import Path

from cluster.api.errors import ClusterError, UsageError
from cluster.membership.dial_back import answering, new_nonce
from cluster.membership.meeting import Met, meet
from cluster.membership.preflight import own_identity
from cluster.membership.returning import TIMEOUT_S, door_at, members_at, write_membership
from cluster.membership.versions import this_version
from cluster.messages.membership import JoinRequest
from cluster.node.disk import disk_error
from cluster.node.home import Home, NodeRecord, read_home
from cluster.node.private import check_folder
from cluster.node.state import state_path
from cluster.trust.certificate import check_certificate, check_issued, key_hash
from cluster.trust.identity import (
    Identity,
    read_identity,
    read_next_key,
    write_next_key,
)
from cluster.trust.join_string import JoinString
from cluster.trust.kept_authority import AUTHORITY, read_authority
from cluster.trust.names import check_host, check_node_name
from cluster.trust.node_key import is_key, new_key, signing_request
from cluster.wire.membership.door import DoorClient
from cluster.wire.transport.channel import join_address


def join(folder: Path, address: str, join_string: JoinString, name: str, host: str | None = None) -> Home:
    """Make this machine the node `name` of the cluster whose head answers at `address`, "host:port".

    `folder` is its home from now on: what was there of another membership is replaced. `host`: the address of this
    machine that all nodes are to use; by default the one from which it reaches the head. It takes some 10 s at most.

    ClusterError that says what keeps it out, and what to do.
    """
    name, (head_host, ports) = check_node_name(name), door_at(address)
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
    return write_membership(folder, identity, record)


def read_or_none(folder: Path) -> Home | None:
    """The home of a node; None where this machine is none, or what is there cannot be read."""
    try:
        home = read_home(folder)
    except ClusterError:
        return None
    return home if home.record is not None else None


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
        with members_at(own_identity(home), record) as members:
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
