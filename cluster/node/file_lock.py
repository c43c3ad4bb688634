"""A file that several processes change in turn: a lock beside it, which the kernel gives back when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.api.errors import ClusterError
from cluster.node.private import check_file, check_folder

TIMEOUT_S = 10.0  # a holder reads and writes one small file
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock of `path`, a file that is replaced as a whole. ClusterError; OSError as the disk gives it."""
    lock = path.with_suffix(".lock")
    check_folder(path.parent, others_may_look=True)
    descriptor = os.open(lock, _FLAGS, 0o600)
    try:
        check_file(lock, os.fstat(descriptor))
        os.fchmod(descriptor, 0o600)  # who may read it may hold the lock
        _take(lock, descriptor)
        yield
    finally:
        os.close(descriptor)


def _take(lock: Path, descriptor: int) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise ClusterError(f"{lock}: held for {TIMEOUT_S:.0f} s; end the process that holds it") from None
            time.sleep(0.01)
        else:
            return
