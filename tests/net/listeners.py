"""Who listens where in a network: what ``ss -lntup`` shows, read from /proc of a process that is in it."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TCP_LISTEN, UDP_UNCONNECTED = "0A", "07"


@dataclass(frozen=True)
class Listener:
    """`command` is its process's command line; "" where it is not known."""

    protocol: str
    address: str
    port: int
    pid: int
    command: str

    @property
    def is_loopback(self) -> bool:
        """Only processes of its own host reach it."""
        return ipaddress.ip_address(self.address).is_loopback


def listeners(inside: int, pids: Iterable[int]) -> list[Listener]:
    """All of the network that process `inside` is in; `pids`: the processes among which their owners are looked for."""
    owners = _owners(pids)
    found = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        wanted = TCP_LISTEN if table.startswith("tcp") else UDP_UNCONNECTED
        for line in Path(f"/proc/{inside}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == wanted:
                address, _, port = fields[1].partition(":")
                pid = owners.get(fields[9], 0)
                found.append(Listener(table[:3], _address(address), int(port, 16), pid, _command(pid)))
    return sorted(found, key=lambda each: (each.protocol, each.port, each.address))


def _address(text: str) -> str:
    """The kernel prints words of 32 bits in the machine's order, which is the network's only within a byte."""
    words = [struct.pack("=I", int(text[at : at + 8], 16)) for at in range(0, len(text), 8)]
    address = ipaddress.ip_address(b"".join(words))
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _owners(pids: Iterable[int]) -> dict[str, int]:
    """Inode of each socket -> a process that has it open."""
    owners: dict[str, int] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for entry in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    target = os.readlink(f"/proc/{pid}/fd/{entry}")
                    if target.startswith("socket:["):
                        owners[target[8:-1]] = pid
    return owners


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
