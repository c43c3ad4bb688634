"""What the process that repairs a cluster leaves for others to read, who need not ask Ray for it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from cluster.api.errors import ClusterError
from cluster.node.disk import disk_error
from cluster.node.private import read_private, write_private
from cluster.node.processes import start_ticks

SUPERVISOR = "supervisor"  # as Ray knows its actor, and people its log
FILE = f"{SUPERVISOR}.json"


@dataclass(frozen=True, slots=True)
class Supervision:
    """Set by the supervisor, in the run folder of its cluster."""

    pid: int
    start_ticks: int  # with the pid it names the process for good
    given_up: str = ""  # why it does not repair any more; empty while it does

    @property
    def lives(self) -> bool:
        return start_ticks(self.pid) == self.start_ticks

    @property
    def is_at_work(self) -> bool:
        """Whether what is lost will be repaired."""
        return self.lives and not self.given_up


def read_supervision(run_folder: Path) -> Supervision | None:
    """None where nobody repairs, or none can be read."""
    try:
        return Supervision(**json.loads(read_private(run_folder / FILE)))
    except (OSError, ValueError, TypeError, ClusterError):
        return None


def repairs_told(run_folder: Path) -> str | None:
    """What is done about a cluster that does not answer, for people; None where nobody repairs."""
    found = read_supervision(run_folder)
    if found is None or not found.lives:
        return None
    return found.given_up or "it is being repaired: ask again in a few seconds (see: cluster logs supervisor)"


def write_supervision(run_folder: Path, supervision: Supervision) -> None:
    """Replace the file in one step. ClusterError."""
    try:
        write_private(run_folder / FILE, json.dumps(asdict(supervision)).encode("ascii"))
    except OSError as error:
        raise disk_error(run_folder, error, "set TMPDIR") from error
