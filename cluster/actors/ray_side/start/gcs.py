"""The GCS, which knows what there is in a Ray: nobody starts it again where it dies, and so we do.

Its tables are on disk (RocksDB), so that the new one knows what the old one knew; stages and streams do not notice.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cluster.api.errors import ClusterError, UnreachableError
from cluster.node.file_lock import file_lock
from cluster.node.private import read_private, write_private
from cluster.node.processes import start_ticks
from cluster.node.ray_health import RayProcess, answers, find_ray_processes
from cluster.node.run_folder import check_run_folder

STORAGE = "gcs"  # folder below the run folder
RECORD = "gcs.json"
START_TIMEOUT_S = 20.0
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class GcsRecord:
    """How the GCS of a head was started, and who it is now."""

    address: str  # host:port
    command: tuple[str, ...]
    environment: dict[str, str]
    pid: int
    start_ticks: int

    @property
    def lives(self) -> bool:
        return start_ticks(self.pid) == self.start_ticks


def keep_gcs(run_folder: Path, instance: str, address: str) -> None:
    """Remember how the GCS that was just started is started. ClusterError where there is none."""
    found = next((process for process in find_ray_processes(instance) if process.kind == "GCS"), None)
    try:
        if found is None:
            raise ProcessLookupError
        command = _strings(Path(f"/proc/{found.pid}/cmdline"))
        environment = dict(entry.split("=", 1) for entry in _strings(Path(f"/proc/{found.pid}/environ")))
    except OSError as error:
        raise ClusterError("ray start: its GCS ended at once; see its logs, and try again") from error
    _write(run_folder, GcsRecord(address, tuple(command), environment, found.pid, found.start_ticks))


def gcs_process(run_folder: Path) -> RayProcess:
    """Which process is the GCS now. ClusterError where none is remembered."""
    record = _read(run_folder)
    return RayProcess("GCS", record.pid, record.start_ticks)


def restart_gcs(run_folder: Path) -> bool:
    """Start the GCS again if it is dead, and wait until it answers. False if it lives.

    ClusterError where it cannot be: none is remembered, or what it knew is gone; UnreachableError if it ends again.
    """
    check_run_folder(run_folder)
    with file_lock(run_folder / RECORD):
        record = _read(run_folder)
        if record.lives:
            return False
        if not (run_folder / STORAGE).is_dir():
            raise ClusterError(f"{run_folder / STORAGE}: what Ray knew is gone; run cluster down, then up again")
        pid = _start(record)
        ticks = start_ticks(pid)
        if ticks is not None:
            _write(run_folder, GcsRecord(record.address, record.command, record.environment, pid, ticks))
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if ticks is None or start_ticks(pid) != ticks:
            break
        if answers(record.address):
            return True
        time.sleep(POLL_S)
    raise UnreachableError(f"Ray's GCS: started again at {record.address}, it does not answer; run cluster up")


def _start(record: GcsRecord) -> int:
    """The pid of a new one, which is nobody's child: a worker of Ray ends its children when it ends."""
    done = subprocess.run(
        ["/bin/sh", "-c", f"{shlex.join(record.command)} >/dev/null 2>&1 & echo $!"],
        env=record.environment,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        check=True,
    )
    return int(done.stdout)


def _strings(path: Path) -> list[str]:
    return [os.fsdecode(part) for part in path.read_bytes().split(b"\0")[:-1]]


def _write(run_folder: Path, record: GcsRecord) -> None:
    write_private(run_folder / RECORD, json.dumps(asdict(record)).encode())


def _read(run_folder: Path) -> GcsRecord:
    path = run_folder / RECORD
    try:
        raw: Any = json.loads(read_private(path))
        return GcsRecord(**(raw | {"command": tuple(raw["command"])}))
    except OSError as error:
        raise ClusterError(f"{path}: {error.strerror or error}; run cluster down, then up again") from error
    except (ValueError, TypeError, KeyError) as error:
        raise ClusterError(f"{path}: damaged ({error}); run cluster down, then up again") from error
