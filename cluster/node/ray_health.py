"""Whether the Ray below a cluster lives, without asking Ray: a dead one would be waited for.

Serving goes on without Ray, but nothing can be repaired then, so that it is told and `cluster up` starts anew.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cluster.node.processes import marked_pids, run_state, start_ticks

CONNECT_TIMEOUT_S = 2.0
KINDS = {"gcs_server": "GCS", "raylet": "raylet"}  # the name of its program, and what Ray calls it


class RayProcess(NamedTuple):
    """A process of Ray that a cluster cannot be repaired without."""

    kind: str  # "GCS" or "raylet"
    pid: int
    start_ticks: int  # since boot; with the pid it names the process for good


def find_ray_processes(instance: str) -> tuple[RayProcess, ...]:
    """The processes of the Ray head that was started for `instance` on this machine."""
    found = []
    for pid in marked_pids(instance):
        kind, ticks = KINDS.get(_program(pid)), start_ticks(pid)
        if kind is not None and ticks is not None:
            found.append(RayProcess(kind, pid, ticks))
    return tuple(found)


def ray_trouble(processes: Iterable[RayProcess]) -> str | None:
    """What is wrong with the first of `processes` that is not well; None if all live."""
    for process in processes:
        if start_ticks(process.pid) != process.start_ticks:
            return f"Ray's {process.kind} (process {process.pid}) is dead"
        if run_state(process.pid) == "T":
            return (
                f"Ray's {process.kind} (process {process.pid}) was stopped; continue it with: kill -CONT {process.pid}"
            )
    return None


def trouble_at(address: str, processes: Iterable[RayProcess]) -> str | None:
    """Why the Ray whose GCS is at `address` cannot be asked for anything; None if it can. `processes`: of it."""
    trouble = ray_trouble(processes)
    if trouble is None and not answers(address):
        trouble = f"Ray at {address or 'an unknown address'} does not answer"
    return trouble


def answers(address: str) -> bool:
    """Whether anything listens at ``host:port``."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_TIMEOUT_S):
            return True
    except (OSError, ValueError, OverflowError):
        return False


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
