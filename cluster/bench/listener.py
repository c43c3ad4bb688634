"""Which process of a cluster listens at an address (Linux; man 5 proc, /proc/net/tcp and /proc/PID/fd)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from cluster.errors import ClusterError
from cluster.processes import marked_pids

LISTENING = "0A"


def listening_pid(instance: str, address: str) -> int:
    """The process of the cluster `instance` on this machine that listens at `address`. ClusterError if none does."""
    port = int(address.rpartition(":")[2])
    wanted = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for pid in marked_pids(instance):
        if wanted.intersection(_open_files(pid)):
            return pid
    raise ClusterError(f"{address}: no process of the cluster on this machine listens there; run cluster status")


def _listening_inodes(port: int) -> Iterator[str]:
    for name in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/net", name).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


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
