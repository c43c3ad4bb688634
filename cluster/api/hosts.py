"""Names and addresses of machines."""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, is this machine's loopback: only this machine reaches what is there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
