"""Who listens on a port of this machine, as the kernel tells (Linux; man 5 proc, /proc/net/tcp)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

LISTENING = "0A"  # TCP_LISTEN


class Listening(NamedTuple):
    """A socket that waits for connections."""

    uid: int
    inode: str


def listening(port: int) -> Iterator[Listening]:
    """The sockets that listen on `port`, at whatever address of this network namespace."""
    for name in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/net", name).read_text(encoding="ascii").splitlines()[1:]
        except OSError:  # a kernel without IPv6
            continue
        for fields in map(str.split, lines):
            if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield Listening(int(fields[7]), fields[9])
