"""One `cluster up`, `cluster down` or repair at a time; the kernel gives the lock back when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from cluster.api.errors import ClusterError
from cluster.node.disk import disk_error
from cluster.node.private import check_file
from cluster.node.processes import end_process, start_ticks
from cluster.node.state import ADVICE, state_folder, state_path

TAKE_OVER_TIMEOUT_S = 10.0
TERM_GRACE_S = 5.0
POLL_S = 0.05
COMMAND, REPAIR = "command", "repair"  # what the lock is held for
LOCK_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def state_lock(end_holder: bool = False, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock beside the state file. ClusterError if another command has it; `end_holder` ends that first.

    A repair, which nobody typed, is waited for; `waiting` is called before.
    """
    path = _lock_path()
    with _open(path) as file:
        if not _try_lock(file):
            if end_holder:
                _end_holder(file)
            else:
                _wait_for_repair(file, waiting)
        with _signed(path, file, COMMAND):
            yield


@contextmanager
def repair_lock() -> Iterator[bool]:
    """Hold the lock for a repair, if nobody else has it: whether it is held. What people ask for goes first."""
    path = _lock_path()
    with _open(path) as file:
        if not _try_lock(file):
            yield False
            return
        with _signed(path, file, REPAIR):
            yield True


def _lock_path() -> Path:
    return state_folder() / state_path().with_suffix(".lock").name


@contextmanager
def _signed(path: Path, file: TextIO, what: str) -> Iterator[None]:
    """Say who holds the lock and what for, until it is given back: whoever repairs lives on, and is not ended then."""
    try:
        file.truncate(0)
        file.write(f"{os.getpid()} {start_ticks(os.getpid())} {what}")
        file.flush()
    except OSError as error:
        raise disk_error(path, error, ADVICE) from error
    try:
        yield
    finally:
        with suppress(OSError):
            file.truncate(0)


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


def _wait_for_repair(file: TextIO, waiting: Callable[[], None]) -> None:
    """Get the lock once the repair that holds it is over. ClusterError where something else holds it."""
    is_told = False
    while not _try_lock(file):
        pid, _, what = _holder(file)
        if what != REPAIR:
            raise ClusterError("another cluster up or down is at work; wait for it, or run: cluster down")
        if pid and not is_told:
            waiting()
            is_told = True
        time.sleep(POLL_S)


def _end_holder(file: TextIO) -> None:
    """End the process that wrote itself into the file, and get the lock that it leaves."""
    deadline = time.monotonic() + TAKE_OVER_TIMEOUT_S
    while not _try_lock(file):
        if time.monotonic() > deadline:
            raise ClusterError(f"{file.name}: still locked; end the process that holds it, then run cluster down")
        pid, ticks, what = _holder(file)
        if pid:
            # A command cleans up when it is told to end. A repair has nothing to clean up that `down` does not.
            end_process(pid, ticks, grace_s=0.0 if what == REPAIR else TERM_GRACE_S)
        time.sleep(POLL_S)


def _holder(file: TextIO) -> tuple[int, int, str]:
    """The pid and start ticks of who holds the lock, and what for; zeros while that is not written yet."""
    file.seek(0)
    written = file.read().split()
    if len(written) == 3 and all(number.isdigit() for number in written[:2]):
        return int(written[0]), int(written[1]), written[2]
    return 0, 0, REPAIR if not written else ""
