"""What this user's own machine knows of its cluster: after `cluster up`, and on a node that joined."""

from __future__ import annotations

from cluster.api.errors import ClusterError
from cluster.client.config_file import ClusterFile
from cluster.node.home import Home, read_home
from cluster.node.kept_secrets import read_client_secret
from cluster.node.private import read_private
from cluster.node.secret import Secret
from cluster.node.state import read_address, state_path
from cluster.trust.identity import CA_FILE, head_server_name
from cluster.wire.transport.channel import host_of, join_address
from cluster.wire.transport.tls import CallerTls


def own_address() -> str | None:
    """Where the cluster of this machine answers clients; None where there is none. ClusterError."""
    found = read_address()
    if found:
        return found
    record = _home().record
    return join_address(record.head_host, record.ports.api) if record else None


def own_secret() -> Secret | None:
    """What clients of the cluster of this machine are asked for."""
    return read_client_secret()


def own_tls(address: str) -> CallerTls | None:
    """How to know the cluster at `address`, where that is the one that this machine is a node of. ClusterError."""
    home = _home()
    record = home.record
    if record is None or not record.is_secure or host_of(address) != record.head_host:
        return None
    path = home.identity_folder / CA_FILE
    try:
        ca_pem = read_private(path)
    except OSError as error:
        raise ClusterError(f"{path}: {error.strerror or error}; join the cluster again: cluster join") from error
    return CallerTls(head_server_name(record.cluster_id), ca_pem)


def own_file(address: str | None = None) -> ClusterFile:
    """What clients elsewhere need. ClusterError where this machine has no cluster."""
    where, secret = address or own_address(), own_secret()
    if where is None or secret is None:
        raise ClusterError("no cluster: none was started here, and this machine is no node of one; run it on a node")
    tls = own_tls(where)
    if tls is None:
        return ClusterFile(where, secret)
    return ClusterFile(where, secret, tls.server_name, tls.ca_pem.decode("ascii"))


def _home() -> Home:
    return read_home(state_path().parent)
