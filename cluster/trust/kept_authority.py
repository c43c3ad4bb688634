"""The authority in the head's home. It survives the cluster: who joined is a member of the next one, too."""

from __future__ import annotations

from pathlib import Path

from cluster.api.errors import ClusterError, UsageError
from cluster.node.disk import disk_error
from cluster.node.private import read_private, write_private
from cluster.trust.authority import Authority
from cluster.trust.names import new_cluster_id

AUTHORITY = "authority"
CERTIFICATE_FILE = "ca.crt"
KEY_FILE = "ca.key"


def read_authority(home: Path) -> Authority:
    """The authority of the cluster whose head has this home.

    FileNotFoundError where there is none; ClusterError where it is damaged, or another user may have written it.
    """
    folder = home / AUTHORITY
    try:
        return Authority.of_pem(read_private(folder / CERTIFICATE_FILE), read_private(folder / KEY_FILE))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ClusterError(f"{folder}: {error.strerror or error}; make it readable") from error
    except UsageError as error:
        raise ClusterError(f"{folder}: {error}") from error


def write_authority(home: Path, authority: Authority) -> None:
    """Keep it in the head's home, whose folder is there. ClusterError."""
    folder = home / AUTHORITY
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
        # The certificate comes last: with it, the authority counts as there.
        write_private(folder / KEY_FILE, authority.key_pem)
        write_private(folder / CERTIFICATE_FILE, authority.certificate_pem)
    except OSError as error:
        raise disk_error(folder, error, "set XDG_STATE_HOME") from error


def open_authority(home: Path, now_s: float) -> Authority:
    """The authority of this home, made anew where there is none. ClusterError. For `cluster up`, under its lock."""
    try:
        return read_authority(home)
    except FileNotFoundError:
        authority = Authority.new(new_cluster_id(), now_s)
        write_authority(home, authority)
        return authority
