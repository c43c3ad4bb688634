"""What the kernel shows of processes that may end while they are looked at."""

from __future__ import annotations

from pathlib import Path

from cluster.node.processes import marked_pids


def shown(pid: int, name: str) -> bytes:
    """The file `name` of /proc/PID; empty if the process is gone, also between the opening and the reading."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def marked(instance: str, *words: bytes) -> list[int]:
    """The processes of a cluster, or of a test, that have one of `words` in their command lines."""
    found = [(pid, shown(pid, "cmdline")) for pid in marked_pids(instance)]
    return [pid for pid, command in found if any(word in command for word in words)]
