"""Where the cluster is, and what a client proves: what was given, else what the environment or the home says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from cluster.api.errors import UnreachableError
from cluster.client.config_file import ClusterFile, is_file_name, read_cluster_file
from cluster.node.secret import Secret, given_secret
from cluster.wire.access.endpoint import Endpoint

ADDRESS_VARIABLE = "CLUSTER_ADDRESS"
CONFIG_VARIABLE = "CLUSTER_CONFIG"
SECRET_VARIABLE = "CLUSTER_SECRET"
SECRET_FILE_VARIABLE = "CLUSTER_SECRET_FILE"

# "host:port", or a file such as `cluster connect` prints: its path, or what was read of it.
# Or where a process of the cluster itself knows it to be.
Address = str | os.PathLike[str] | ClusterFile | Endpoint
SecretOrFile = str | os.PathLike[str]


class Found(NamedTuple):
    """`given` leads to the same endpoint again, in another process too: the file, or the address."""

    endpoint: Endpoint
    given: str | ClusterFile | Endpoint


def find(address: Address | None, secret: SecretOrFile | None) -> Found:
    """UnreachableError if no address is known. Where no secret is known, the cluster will refuse.

    UsageError and ClusterError for files that cannot be used.
    """
    if isinstance(address, Endpoint):
        return Found(address, address)
    if isinstance(address, ClusterFile):
        return Found(address.endpoint, address)
    file = _file(address)
    if file is not None:
        endpoint = read_cluster_file(file).endpoint
        return Found(endpoint if secret is None else endpoint.proving(given_secret(secret)), os.path.abspath(file))
    from cluster.client.own_home import own_secret, own_tls

    where = resolve_address(None if address is None else str(address))
    return Found(Endpoint(where, _given(secret) or own_secret(), own_tls(where)), where)


def resolve_address(address: str | None) -> str:
    """`address`, else CLUSTER_ADDRESS, else what `cluster up` or `cluster join` wrote. UnreachableError for none."""
    from cluster.client.own_home import own_address

    found = address or os.environ.get(ADDRESS_VARIABLE) or own_address()
    if not found:
        raise UnreachableError(
            f"no cluster: no address was given, {ADDRESS_VARIABLE} is not set, and none was started here; "
            'start one with "cluster up" or give an address'
        )
    return found


def _file(address: str | os.PathLike[str] | None) -> Path | None:
    if address is not None:
        return Path(address) if is_file_name(address) else None
    named = os.environ.get(CONFIG_VARIABLE)
    return Path(named) if named and not os.environ.get(ADDRESS_VARIABLE) else None


def _given(secret: SecretOrFile | None) -> Secret | None:
    """What the caller gave, else what the environment says."""
    if secret is not None:
        return given_secret(secret)
    if os.environ.get(SECRET_VARIABLE):
        return given_secret(os.environ[SECRET_VARIABLE])
    if os.environ.get(SECRET_FILE_VARIABLE):
        return given_secret(Path(os.environ[SECRET_FILE_VARIABLE]))
    return None
