"""A node's identity: the certificate that the cluster's authority gave it, and the key that never left it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cluster.api.errors import ClusterError
from cluster.node.private import read_private, write_private

CA_FILE = "ca.crt"
CERTIFICATE_FILE = "node.crt"
KEY_FILE = "node.key"
NEXT_KEY_FILE = "next.key"  # of a certificate that was asked for, and has not come yet
DOMAIN = "ggml-cluster"


def server_name(node: str, cluster_id: str) -> str:
    """The name in a node's certificate by which others know it, whatever its address is at the time."""
    return f"{node}.{cluster_id}.{DOMAIN}"


def head_server_name(cluster_id: str) -> str:
    """The further name in the head's certificate: that of the cluster itself, which no other node can prove."""
    return f"{cluster_id}.{DOMAIN}"


@dataclass(frozen=True, slots=True)
class Identity:
    """All in PEM. Whoever has the key is this node to all others."""

    name: str
    cluster_id: str
    ca_pem: bytes
    cert_pem: bytes
    key_pem: bytes = field(repr=False)

    @property
    def server_name(self) -> str:
        return server_name(self.name, self.cluster_id)


def read_identity(folder: Path, name: str, cluster_id: str) -> Identity:
    """The identity of the node `name` at `folder`. FileNotFoundError where there is none.

    ClusterError where another user may have written or read it.
    """
    try:
        ca_pem, cert_pem, key_pem = (read_private(folder / file) for file in (CA_FILE, CERTIFICATE_FILE, KEY_FILE))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ClusterError(f"{folder}: {error.strerror or error}; join the cluster again") from error
    return Identity(name, cluster_id, ca_pem, cert_pem, key_pem)


def write_identity(folder: Path, identity: Identity) -> None:
    """Replace what is at `folder`, which only this user may enter. ClusterError; OSError as writing raises it."""
    _make(folder)
    # The key comes first: a certificate without its key would be taken for an identity.
    write_private(folder / KEY_FILE, identity.key_pem)
    write_private(folder / CA_FILE, identity.ca_pem)
    write_private(folder / CERTIFICATE_FILE, identity.cert_pem)
    (folder / NEXT_KEY_FILE).unlink(missing_ok=True)


def read_next_key(folder: Path) -> bytes | None:
    """The key over which a certificate was asked for without an answer, or None where there is none of use."""
    try:
        return read_private(folder / NEXT_KEY_FILE)
    except (ClusterError, OSError):
        return None


def write_next_key(folder: Path, key_pem: bytes) -> None:
    """Keep the key of a certificate that is about to be asked for. Errors as for `write_identity`."""
    _make(folder)
    write_private(folder / NEXT_KEY_FILE, key_pem)


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
