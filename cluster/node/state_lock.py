"""One `cluster up` or `cluster down` at a time; the kernel gives the lock back when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from cluster.api.errors import ClusterError
from cluster.node.disk import disk_error
from cluster.node.private import check_file
from cluster.node.processes import end_process, start_ticks
from cluster.node.state import ADVICE, state_folder, state_path

TAKE_OVER_TIMEOUT_S = 10.0
LOCK_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def state_lock(end_holder: bool = False) -> Iterator[None]:
    """Hold the lock beside the state file. ClusterError if another process has it; `end_holder` ends that first."""
    path = state_folder() / state_path().with_suffix(".lock").name
    with _open(path) as file:
        if not _try_lock(file):
            if not end_holder:
                raise ClusterError("another cluster up or down is at work; wait for it, or run: cluster down")
            _end_holder(file)
        try:
            file.truncate(0)
            file.write(f"{os.getpid()} {start_ticks(os.getpid())}")
            file.flush()
        except OSError as error:
            raise disk_error(path, error, ADVICE) from error
        yield


def _open(path: Path) -> TextIO:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | LOCK_FLAGS, 0o600)
        try:
            check_file(path, os.fstat(descriptor))
            os.fchmod(descriptor, 0o600)  # who may read it may hold the lock
        except BaseException:
            os.close(descriptor)
            raise
    except OSError as error:
        raise disk_error(path, error, ADVICE) from error
    return os.fdopen(descriptor, "a+", encoding="ascii")


def _try_lock(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end_holder(file: TextIO) -> None:
    """End the process that wrote itself into the file, and get the lock that it leaves."""
    deadline = time.monotonic() + TAKE_OVER_TIMEOUT_S
    while not _try_lock(file):
        if time.monotonic() > deadline:
            raise ClusterError(f"{file.name}: still locked; end the process that holds it, then run cluster down")
        file.seek(0)
        written = file.read().split()
        if len(written) == 2 and all(number.isdigit() for number in written):
            end_process(int(written[0]), int(written[1]))
        time.sleep(0.05)
