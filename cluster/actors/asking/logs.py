"""What the processes of a cluster have printed, on whichever node they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cluster.actors.asking.listing import launch_here
from cluster.api.errors import UsageError
from cluster.api.status import ClusterStatus
from cluster.node.home import read_home
from cluster.node.ports import listening_pid
from cluster.node.ray_logs import LogFile, RayLogs
from cluster.node.state import ClusterState
from cluster.node.supervision import SUPERVISOR, read_supervision


class Reader(Protocol):
    """The logs of one node."""

    def of(self, pid: int) -> tuple[LogFile, ...]: ...

    def read(self, name: str, offset: int) -> tuple[int, bytes]: ...


@dataclass(slots=True)
class Log:
    """One file that is followed: what it holds from `offset` on was not shown yet."""

    label: str  # such as "stage 1 on two"
    node: Reader
    file: LogFile
    offset: int

    def news(self) -> str:
        """What was added since, whole lines and characters as far as there are some."""
        start, data = self.node.read(self.file.name, self.offset)
        end = data.rfind(b"\n") + 1
        self.offset = start + end
        return data[:end].decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class _Remote:
    """The logs of a node whose agent is asked. Implements `Reader`."""

    agents: Any
    node: str

    def of(self, pid: int) -> tuple[LogFile, ...]:
        found: tuple[LogFile, ...] = self.agents.ask(self.node, "logs", pid)
        return found

    def read(self, name: str, offset: int) -> tuple[int, bytes]:
        found: tuple[int, bytes] = self.agents.ask(self.node, "read_log", name, offset)
        return found


@contextmanager
def open_logs(
    state: ClusterState, home: Path, status: ClusterStatus | None, whose: str | None, tail: int
) -> Iterator[list[Log]]:
    """The logs of `whose` processes: a node's, "stage-1", "coordinator", "supervisor"; None: all.

    `tail`: bytes of each from its end. `status`: None where the coordinator does not answer.

    UsageError for whom there is none.
    """
    here = read_home(home)
    processes = _processes(state, status, here.node)
    if here.record is None:
        reader = RayLogs.below(Path(state.run_folder))
        yield _chosen([(process, reader) for process in processes], whose, tail)
        return
    with launch_here(home) as launch:
        readers = {node.name: _Remote(launch.agents, node.name) for node in launch.agents.nodes}
        yield _chosen([(one, readers[one.node]) for one in processes if one.node in readers], whose, tail)


@dataclass(frozen=True, slots=True)
class _Process:
    name: str  # as --help has it: "stage-1"
    label: str
    node: str
    pid: int


def _processes(state: ClusterState, status: ClusterStatus | None, here: str) -> list[_Process]:
    supervision = read_supervision(Path(state.run_folder))
    found = [] if supervision is None else [_Process(SUPERVISOR, SUPERVISOR, here, supervision.pid)]
    if status is None:
        return found
    several = len({stage.node for stage in status.stages}) > 1
    pid = listening_pid(state.instance, state.address)
    found.insert(0, _Process("coordinator", "coordinator", here, pid))
    for stage in status.stages:
        where = f" on {stage.node}" if several else ""
        found.append(_Process(f"stage-{stage.stage}", f"stage {stage.stage}{where}", stage.node, stage.pid))
    return found


def _chosen(found: Sequence[tuple[_Process, Reader]], whose: str | None, tail: int) -> list[Log]:
    logs = []
    for process, reader in found:
        if whose in (None, process.name, process.node):
            for file in reader.of(process.pid):
                logs.append(Log(process.label, reader, file, max(0, file.num_bytes - tail)))
    if not logs:
        known = ", ".join(dict.fromkeys(name for process, _ in found for name in (process.node, process.name)))
        raise UsageError(f"logs: there are none of {whose!a}; give one of {known}")
    return logs
