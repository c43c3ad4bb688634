"""Files that this user wrote earlier and reads back: caches.

What anybody else may have had a hand in counts as not there.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cluster.errors import UsageError

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def cache_folder(name: str) -> Path:
    """$XDG_CACHE_HOME/ggml-cluster/`name`, with ~/.cache where it is unset or relative (as XDG asks)."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (cache if cache.is_absolute() else Path.home() / ".cache") / "ggml-cluster" / name


def open_own(path: Path) -> int | None:
    """A descriptor of the regular file at `path`, to read; None where there is none, or where another user owns it
    or may write it. Judged by what was opened, so that nobody can put another file in its place in between.
    """
    try:
        # O_NONBLOCK: opening a FIFO must not hang; it has no effect on a regular file.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode) and is_own(os.fstat(descriptor)):
        return descriptor
    os.close(descriptor)
    return None


def read_own(path: Path, max_bytes: int) -> bytes | None:
    """The whole content of a file of ours; None as for `open_own`, in a folder that others may write, or beyond
    `max_bytes`."""
    if not is_own_folder(path.parent):
        return None
    descriptor = open_own(path)
    if descriptor is None:
        return None
    with open(descriptor, "rb") as file:
        data = file.read(max_bytes + 1)
    return data if len(data) <= max_bytes else None


def is_own(status: os.stat_result) -> bool:
    """Whether it is ours, and nobody else may write it."""
    return status.st_uid == os.geteuid() and not status.st_mode & OTHERS_WRITE


def is_own_folder(folder: Path) -> bool:
    """The same of a folder, to which a link may lead; False where there is none."""
    try:
        return is_own(folder.stat())
    except OSError:
        return False


def make_own_folder(folder: Path) -> None:
    """Make `folder` if need be, and see to it that only we may write in it.

    UsageError if it is another user's or its file system keeps no modes; OSError as the disk gives it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid():
            raise UsageError(
                f"{folder}: belongs to user {status.st_uid}, not to {os.geteuid()}, who runs this; "
                "remove it, or set XDG_CACHE_HOME to a folder of your own"
            )
        if status.st_mode & OTHERS_WRITE:
            os.fchmod(descriptor, 0o700)
        if os.fstat(descriptor).st_mode & OTHERS_WRITE:
            raise UsageError(
                f"{folder}: other users may write there, and its modes cannot be changed; "
                "set XDG_CACHE_HOME to a folder on another file system"
            )
    finally:
        os.close(descriptor)
