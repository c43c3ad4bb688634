"""Ports of this machine: a free one, and who listens on one, as the kernel tells (Linux; man 5 proc)."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cluster.api.errors import ClusterError
from cluster.node.processes import marked_pids

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


def listening_pid(instance: str, address: str) -> int:
    """The process of the cluster `instance` on this machine that listens at `address`. ClusterError if none does."""
    port = int(address.rpartition(":")[2])
    wanted = {f"socket:[{inode}]" for _, inode in listening(port)}
    for pid in marked_pids(instance):
        if wanted.intersection(_open_files(pid)):
            return pid
    raise ClusterError(f"{address}: no process of the cluster on this machine listens there; run cluster status")


def _open_files(pid: int) -> Iterator[str]:
    try:
        entries = list(os.scandir(f"/proc/{pid}/fd"))
    except OSError:  # gone meanwhile, or not ours
        return
    for entry in entries:
        try:
            yield os.readlink(entry.path)
        except OSError:
            continue


def free_port() -> int:
    """A port of the loopback that nobody had a moment ago, for a program that has to be told one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
