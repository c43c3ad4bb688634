"""What a node, a cluster and an address of a node may be called: the one place that decides."""

from __future__ import annotations

import ipaddress
import re
import secrets

from cluster.api.errors import UsageError

MAX_NODE_CHARS = 63  # a label of a name in DNS (RFC 1035, section 2.3.1)
CLUSTER_ID_CHARS = 10
BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_NODE = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", re.ASCII)
_CLUSTER_ID = re.compile(rf"[{BASE32}]{{{CLUSTER_ID_CHARS}}}", re.ASCII)
_TAKEN = {"localhost"}  # every certificate has it


def check_node_name(name: str) -> str:
    """`name`, if a node may be called so. UsageError."""
    if not isinstance(name, str) or len(name) > MAX_NODE_CHARS or not _NODE.fullmatch(name) or name in _TAKEN:
        raise UsageError(
            f"node name: {str(name)[:80]!r} cannot be one; give up to {MAX_NODE_CHARS} lower-case letters, digits and "
            "hyphens, such as --name node-2"
        )
    return name


def node_name_of(hostname: str) -> str:
    """What a machine of that host name is called where nobody says otherwise: its first label. UsageError."""
    return check_node_name(hostname.partition(".")[0].lower().replace("_", "-"))


def new_cluster_id() -> str:
    """A name for a new cluster that no other one has."""
    return "".join(secrets.choice(BASE32) for _ in range(CLUSTER_ID_CHARS))


def check_cluster_id(cluster_id: str) -> str:
    """`cluster_id`, if `new_cluster_id` may have made it. UsageError."""
    if not isinstance(cluster_id, str) or not _CLUSTER_ID.fullmatch(cluster_id):
        raise UsageError(f"cluster id: {str(cluster_id)[:80]!r} is none; copy the whole of it")
    return cluster_id


def check_host(host: str) -> str:
    """`host` as it is commonly written, if it is an address that other machines can reach a node at. UsageError.

    Loopback passes: on one machine nodes can have addresses of it.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise UsageError(f"address: {str(host)[:80]!r} is no IP address; give one such as 10.0.0.2") from None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        raise UsageError(f"address: {address} is an IPv4 one in other words; give {address.ipv4_mapped}")
    if address.is_link_local:
        raise UsageError(f"address: {address} is valid on one link only; give another one of this machine")
    if address.is_unspecified or address.is_multicast or getattr(address, "scope_id", None):
        raise UsageError(f"address: {address} is not the address of one machine; give one such as 10.0.0.2")
    return str(address)
