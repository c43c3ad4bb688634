"""Which process of a cluster listens at an address (Linux; man 5 proc, /proc/PID/fd)."""

from __future__ import annotations

import os
from collections.abc import Iterator

from cluster.api.errors import ClusterError
from cluster.node.listening import listening
from cluster.node.processes import marked_pids


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
