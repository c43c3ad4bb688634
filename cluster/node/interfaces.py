"""The addresses of this machine's network interfaces, as the C library lists them (man 3 getifaddrs)."""

from __future__ import annotations

import ctypes
import ipaddress
import os
import socket
from collections.abc import Iterator
from typing import NamedTuple

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

_IFF_UP = 0x1


class Interface(NamedTuple):
    """One address of one interface that is up."""

    name: str
    address: Ip


class _Ifaddrs(ctypes.Structure):
    pass


_Ifaddrs._fields_ = [
    ("next", ctypes.POINTER(_Ifaddrs)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.c_void_p),
]  # what follows is not looked at

# Where the address stands in a struct sockaddr_in and sockaddr_in6, and how long it is.
_PLACES: dict[int, tuple[int, int]] = {socket.AF_INET: (4, 4), socket.AF_INET6: (8, 16)}


def interfaces() -> list[Interface]:
    """All of them. OSError where the system does not tell."""
    library = ctypes.CDLL(None, use_errno=True)
    first = ctypes.POINTER(_Ifaddrs)()
    if library.getifaddrs(ctypes.byref(first)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    try:
        return list(_listed(first))
    finally:
        library.freeifaddrs(first)


def _listed(entry: ctypes._Pointer[_Ifaddrs]) -> Iterator[Interface]:
    while entry:
        found = entry.contents
        if found.address and found.flags & _IFF_UP:
            family = ctypes.cast(found.address, ctypes.POINTER(ctypes.c_ushort)).contents.value
            if family in _PLACES:
                offset, length = _PLACES[family]
                raw = ctypes.string_at(found.address + offset, length)
                yield Interface(found.name.decode("utf-8", "replace"), ipaddress.ip_address(raw))
        entry = found.next
