"""The secrets of the cluster that `cluster up` remembers, in files beside its state."""

from __future__ import annotations

from pathlib import Path

from cluster.node.disk import disk_error
from cluster.node.secret import Secret, read_secret, write_secret
from cluster.node.state import ADVICE, state_folder, state_path


def secret_path() -> Path:
    """The cluster's own secret, for its processes and for `cluster up`."""
    return state_path().with_name("secret")


def client_secret_path(secret_file: Path | None = None) -> Path:
    """What its clients are asked for; another user who may use the cluster gets a copy of this file.

    It lies beside the cluster's own secret: `secret_file`, or that of `secret_path`.
    """
    return (secret_file or secret_path()).with_name("client-secret")


def write_secrets(client_secret: Secret | None = None) -> None:
    """New secrets for a new cluster; those of a former one are worth nothing any more. ClusterError.

    `client_secret`: what clients are to be asked for; None makes that anew, too.
    """
    secret = Secret.new()
    folder = state_folder()
    try:
        write_secret(secret_path(), secret)
        write_secret(client_secret_path(), client_secret or secret.for_clients)
    except OSError as error:
        raise disk_error(folder, error, ADVICE) from error


def read_client_secret() -> Secret | None:
    """What the remembered cluster asks its clients for, or None."""
    try:
        return read_secret(client_secret_path())
    except FileNotFoundError:
        return None


def remove_secrets() -> None:
    """With the cluster, they are forgotten."""
    for path in (secret_path(), client_secret_path()):
        path.unlink(missing_ok=True)


def have_secrets() -> bool:
    """Whether both are there; without, a cluster that is up can be neither asked nor repaired."""
    return secret_path().is_file() and client_secret_path().is_file()
