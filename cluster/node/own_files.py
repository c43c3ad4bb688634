"""Files that this user wrote earlier and reads back: caches.

What anybody else may have had a hand in, as `cluster.node.private` judges it, counts as not there:
it is only made again.
"""

from __future__ import annotations

import os
from pathlib import Path

from cluster.api.errors import ClusterError, UsageError
from cluster.node.private import READ_FLAGS, check_file, check_folder, read_private


def open_own(path: Path) -> int | None:
    """A descriptor of the regular file at `path`, to read; None where there is none, or where another user owns it
    or may write it. Judged by what was opened, so that nobody can put another file in its place in between.
    """
    try:
        descriptor = os.open(path, READ_FLAGS)
    except OSError:
        return None
    try:
        check_file(path, os.fstat(descriptor))
    except ClusterError:
        os.close(descriptor)
        return None
    return descriptor


def read_own(path: Path, max_bytes: int) -> bytes | None:
    """The whole content of a file of ours in a folder of ours; None as for `open_own`, and beyond `max_bytes`."""
    try:
        return read_private(path, others_may_look=True, max_bytes=max_bytes)
    except (ClusterError, OSError):
        return None


def is_own_folder(folder: Path) -> bool:
    """Whether only we may put anything into `folder` or in its place; False where there is none."""
    try:
        check_folder(folder, others_may_look=True)
    except (ClusterError, OSError):
        return False
    return True


def make_own_folder(folder: Path) -> None:
    """Make `folder` if need be, and see to it that only we may write in it.

    UsageError if it is another user's, or lies where another may put one of his in its place; OSError as the disk
    gives it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid == os.geteuid() and not is_own_folder(folder):
        folder.chmod(0o700)
    try:
        check_folder(folder, others_may_look=True)
    except ClusterError as error:
        raise UsageError(f"{error}, or set XDG_CACHE_HOME to a folder of your own") from error
