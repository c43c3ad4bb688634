"""The one address by which all other machines know this one. It is asked for, or there is only one: no guess."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence

from cluster.api.errors import UsageError
from cluster.node.interfaces import Interface, Ip, interfaces

FLAG = "advertise-address"
# Interfaces that containers and virtual machines of this host use among themselves: other machines do not reach them.
_INNER = re.compile(r"(docker|br-|veth|cni|flannel|cali|virbr|vmnet|tun|tap|podman|lxc)")
_CARRIER_NAT = ipaddress.ip_network("100.64.0.0/10")  # shared by strangers (RFC 6598), and by overlay networks


def advertised_host(asked: str | None) -> str:
    """The address that `asked` stands for: an address, a name, or an interface of this machine; None: the only one.

    UsageError with the addresses that there are, where it is none of this machine's, or where there are several.
    """
    found = interfaces()
    return str(_asked(asked, found) if asked else only_one(found))


def only_one(found: Sequence[Interface]) -> Ip:
    """The only address of this machine that others can be expected to reach. UsageError where that is not clear."""
    likely = [interface for interface in found if _is_likely(interface)]
    candidates = [one for one in likely if one.address.version == 4] or likely
    if len(candidates) == 1:
        return candidates[0].address
    why = "there are several addresses" if candidates else "there is no address that other machines could reach"
    raise UsageError(f"{FLAG}: {why}; give one of {_shown(candidates or found)}")


def _asked(asked: str, found: Sequence[Interface]) -> Ip:
    of_interface = [one.address for one in found if one.name == asked]
    if of_interface:
        usable = [address for address in of_interface if not address.is_link_local]
        addresses = [address for address in usable if address.version == 4] or usable
        if len(addresses) != 1:
            raise UsageError(f"{FLAG}: {asked!a} has {len(addresses)} addresses to use; give one of {_shown(found)}")
        return addresses[0]
    own = {one.address for one in found}
    addresses = [address for address in resolved(FLAG, asked) if address in own]
    if not addresses:
        raise UsageError(f"{FLAG}: {asked!a} is no address of this machine; give one of {_shown(found)}")
    if addresses[0].is_link_local:
        raise UsageError(f"{FLAG}: {asked!a} is link-local, and means another machine elsewhere; give another")
    return addresses[0]


def resolved(what: str, host: str) -> list[Ip]:
    """The addresses of a name or address, IPv4 first. UsageError, which begins with `what`, where it has none."""
    try:
        answers = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
        found = [ipaddress.ip_address(answer[4][0]) for answer in answers]
    except (OSError, UnicodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{what}: {host!a}: {reason}; give an address, or a name that this machine knows") from error
    return sorted(dict.fromkeys(found), key=lambda address: address.version)


def is_own_address(host: str) -> bool:
    """Whether this machine has the address `host` now."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or any(address == interface.address for interface in interfaces())


def _is_likely(interface: Interface) -> bool:
    address = interface.address
    if address.is_loopback or address.is_link_local or _INNER.match(interface.name):
        return False
    return not (address.version == 4 and address in _CARRIER_NAT)


def _shown(found: Sequence[Interface]) -> str:
    usable = [one for one in found if not one.address.is_link_local and not one.address.is_loopback]
    return ", ".join(f"{one.address} ({one.name})" for one in usable) or "none: this machine has no network"
