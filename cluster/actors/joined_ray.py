"""The Ray of a machine that joined a cluster. Implements `membership.participant.NodeRay`."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from cluster.actors.ray_node.node import start_node
from cluster.api.errors import ClusterError, UnreachableError
from cluster.membership.preflight import check_tls
from cluster.messages.membership import Grant
from cluster.node.disk import disk_error
from cluster.node.home import Home
from cluster.node.private import read_private, write_private
from cluster.node.processes import end_marked, members
from cluster.node.ray_health import RayProcess, answers, find_ray_processes, ray_trouble
from cluster.node.run_folder import make_run_folder, remove_run_folder, run_folder_path
from cluster.wire.transport.channel import host_of, port_of

RECORD = "joined.json"


class JoinedRay:
    """What it started is remembered in the node's home, so that the next one ends it if this process is killed."""

    def __init__(self, folder: Path) -> None:
        """`folder`: the node's home."""
        self._path = folder / RECORD
        self._processes: tuple[RayProcess, ...] = ()

    def start(self, home: Home, grant: Grant) -> None:
        """Start it for the cluster that runs now. ClusterError with the reason; nothing of it is left then."""
        self.end()
        instance = secrets.token_hex(8)
        run_folder = run_folder_path(instance)
        try:
            self._remember(instance, run_folder)
            make_run_folder(run_folder)
            _check_head(home, grant)
            start_node(instance, run_folder, home, grant.gcs_address, grant.ray_token, len(os.sched_getaffinity(0)))
            self._processes = find_ray_processes(instance)
            self._remember(instance, run_folder)
        except BaseException:
            self.end()
            raise

    def trouble(self) -> str | None:
        """Why it does not work any more; None while it does."""
        return ray_trouble(self._processes)

    def end(self) -> None:
        """End all processes of the cluster on this node, and remove what they wrote. It may be repeated."""
        self._processes = ()
        record = self._read()
        if record is None:
            return
        end_marked(record["instance"], [(pid, ticks) for pid, ticks in record["members"]])
        remove_run_folder(Path(record["run_folder"]))
        self._path.unlink(missing_ok=True)

    def _remember(self, instance: str, run_folder: Path) -> None:
        record = {"instance": instance, "run_folder": str(run_folder), "members": members(instance)}
        try:
            write_private(self._path, json.dumps(record).encode())
        except OSError as error:
            raise disk_error(self._path, error, "set XDG_STATE_HOME") from error

    def _read(self) -> dict[str, Any] | None:
        """What is remembered of a Ray that was started; None where there is none, or it cannot be told."""
        try:
            record: dict[str, Any] = json.loads(read_private(self._path, others_may_look=True))
            if isinstance(record["instance"], str) and record["instance"] and isinstance(record["run_folder"], str):
                return record | {"members": [(int(pid), int(ticks)) for pid, ticks in record["members"]]}
        except (OSError, ClusterError, ValueError, TypeError, KeyError):
            pass
        return None


def _check_head(home: Home, grant: Grant) -> None:
    """Ray waits very long for a head that is not there, or does not believe us, and says nothing of use."""
    if grant.is_secure:
        check_tls(home, host_of(grant.gcs_address), port_of(grant.gcs_address))
    elif not answers(grant.gcs_address):
        raise UnreachableError(f"Ray at {grant.gcs_address}: nothing answers; see that the port is open on the head")
