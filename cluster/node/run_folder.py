"""The run folder of a cluster: secrets, and below it what Ray keeps. Only this user may enter it.

Ray gives all users every right on its own folders. They lie below this one, so that nobody reaches them.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from cluster.api.errors import ClusterError
from cluster.node.disk import disk_error, no_room, tempdirs
from cluster.node.private import check_folder, check_place

PREFIX = "ggml-cluster-"
RAY = "ray"
# Ray puts Unix sockets below its folder: /session_2026-01-31_23-59-59_123456_4194304/sockets/plasma_store, 64 bytes
# at most, and the path of a socket ends at 107 bytes.
MAX_RAY_FOLDER_BYTES = 40
MIN_FREE_BYTES = 16 * 2**20  # a session of Ray takes 1 MB when it starts, and its logs grow


def run_folder_path(instance: str) -> Path:
    """Where the run folder of `instance` is to be: below the first temporary folder that is short and safe enough.

    Nothing is made. ClusterError with the reason against each where there is none.
    """
    reasons = []
    for parent in tempdirs():
        folder = parent / f"{PREFIX}{instance[:8]}"
        num_bytes = len(os.fsencode(ray_folder(folder)))
        if num_bytes > MAX_RAY_FOLDER_BYTES:
            reasons.append(f"{parent}: {num_bytes - MAX_RAY_FOLDER_BYTES} bytes too long for Ray's sockets")
            continue
        try:
            check_place(folder)
        except (ClusterError, OSError) as error:
            reasons.append(str(error).partition(";")[0])
            continue
        return folder
    raise ClusterError(f"run folder: {', '.join(reasons)}; set TMPDIR to a short folder of your own")


def make_run_folder(folder: Path) -> None:
    """Make it, for this user alone. ClusterError if it is there or cannot be made, CapacityError without room."""
    try:
        folder.mkdir(mode=0o700)
        folder.chmod(0o700)  # whatever the umask took away
        check_folder(folder)
    except FileExistsError as error:
        raise ClusterError(f"{folder}: somebody made it before us; move it away, and try again") from error
    except OSError as error:
        raise disk_error(folder, error, "set TMPDIR") from error
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < MIN_FREE_BYTES:
        why = f"{MIN_FREE_BYTES:,} bytes are needed for Ray's logs, {free_bytes:,} are free"
        raise no_room(folder, why, "set TMPDIR")


def check_run_folder(folder: Path) -> None:
    """Before each use of what is in it. ClusterError if it is gone, or anybody else could have put something there."""
    try:
        check_folder(folder)
    except OSError as error:
        raise ClusterError(f"{folder}: {error.strerror or error}; run cluster down, then up again") from error


def ray_folder(folder: Path) -> Path:
    """Where Ray keeps its sockets and logs: `folder` or one below it, to be given as its temporary folder."""
    return folder / RAY


def remove_run_folder(folder: Path) -> None:
    """Delete it with all that is in it; nothing if it is not there or not ours."""
    try:
        status = folder.lstat()
    except OSError:
        return
    if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and folder.name.startswith(PREFIX):
        shutil.rmtree(folder, ignore_errors=True)
