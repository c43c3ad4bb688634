"""What `cluster up` remembers about the cluster it started, so that later commands and clients find it.

The file is written before the first process starts: a crash at any point leaves enough to clean up.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from cluster.api.errors import ClusterError
from cluster.node.disk import disk_error
from cluster.node.private import check_folder, read_private, write_private
from cluster.node.ray_health import RayProcess
from cluster.node.xdg import state_file

STATE_VERSION = 3
ADVICE = "set XDG_STATE_HOME"


@dataclass(frozen=True, slots=True)
class ClusterState:
    """One running (or half-started, or crashed) cluster on this machine. Set by `cluster up`."""

    instance: str  # marks every process we start, through an environment variable
    ray_address: str  # host:port of Ray's head; empty until it is known
    ray_namespace: str
    owns_ray: bool  # `up` started Ray, so `down` ends it
    run_folder: str  # holds secrets, and Ray's files when owns_ray; removed by `down`
    address: str  # host:port of the inference server; empty until it answers
    ready: bool
    config: dict[str, Any]  # the settings `up` was given, by key
    model_hash: str = ""  # hash of the file that was cut; a repair must cut the same
    bounds: tuple[int, ...] = ()  # layers at which the slices begin, and the end of the last
    devices: tuple[str, ...] = ()  # of each stage, with its node
    model_version: str = ""  # the source as it was loaded: sizes and times of files, or ETags
    ray_processes: tuple[RayProcess, ...] = ()  # the Ray that we own, once it has started
    members: tuple[tuple[int, int], ...] = ()  # (pid, start ticks) of all processes there were when it came up
    http: str = ""  # base address of the HTTP server, such as http://127.0.0.1:8000; empty until it listens, or if none
    is_program: bool = False  # what is served takes and gives arrays: no HTTP server stands before it
    has_actors: bool = False  # Ray was reached, so that some of ours may live in it
    version: int = STATE_VERSION


def state_path() -> Path:
    """The file that all commands of this user look into."""
    return state_file("cluster.json")


def state_folder() -> Path:
    """The folder of the state file, made if need be. ClusterError if it cannot be, or if others may write there."""
    folder = state_path().parent
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        check_folder(folder, others_may_look=True)
    except OSError as error:
        raise disk_error(folder, error, ADVICE) from error
    return folder


def read_state() -> ClusterState | None:
    """The remembered cluster, or None.

    A file that cannot be understood, or that another user may have written, is an error that names it.
    """
    path = state_path()
    try:
        raw = json.loads(read_private(path, others_may_look=True))
        known = {field.name for field in fields(ClusterState)}
        if raw.get("version") != STATE_VERSION or not set(raw) <= known:
            raise ValueError("written by another version")
        lists = {
            "bounds": tuple(raw.get("bounds", ())),
            "devices": tuple(raw.get("devices", ())),
            "ray_processes": tuple(RayProcess(*process) for process in raw.get("ray_processes", ())),
            "members": tuple((pid, ticks) for pid, ticks in raw.get("members", ())),
        }
        return ClusterState(**(raw | lists))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ClusterError(f"{path}: not a cluster state file ({error}); delete it if no cluster runs") from error


def write_state(state: ClusterState) -> None:
    """Replace the file in one step; only the owner may read it."""
    folder = state_folder()
    try:
        write_private(state_path(), json.dumps(asdict(state), indent=1).encode())
    except OSError as error:
        raise disk_error(folder, error, ADVICE) from error


def remove_state() -> None:
    """Forget the cluster."""
    try:
        state_path().unlink(missing_ok=True)
    except OSError as error:
        raise disk_error(state_path(), error, ADVICE) from error


def read_address() -> str | None:
    """Where the inference server of the remembered cluster listens, or None."""
    state = read_state()
    return state.address if state is not None and state.address else None
