"""The journal's file: begun beside its place, moved there once it is whole, and from then on only added to."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from cluster.node.private import check_folder

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class JournalFile:
    """A new file of this user alone, which takes the place of `path` with `put_in_place`.

    Attributes:
        size_bytes: what has been added, and outlives this process; the disk may have none of it yet.
    """

    def __init__(self, path: Path) -> None:
        """ClusterError where others may write into the folder; OSError as the disk gives it."""
        check_folder(path.parent, others_may_look=True)
        self.size_bytes = 0
        self._path = path
        self._is_placed = False
        # One name, and no random one: what a crash leaves of it holds people's prompts, and goes with the next.
        self._beside = path.with_name(f".{path.name}-new")
        self._beside.unlink(missing_ok=True)
        self._descriptor = os.open(self._beside, _FLAGS, 0o600)

    def add(self, data: bytes) -> None:
        """OSError: any part of it may have been written."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self.size_bytes += len(data)

    def put_in_place(self) -> None:
        """In one step, with all that was added."""
        self._beside.replace(self._path)
        self._is_placed = True

    def is_in_place(self) -> bool:
        """False once it was deleted, or another coordinator has put its own there."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.lstat())
        except FileNotFoundError:
            return False

    def remove(self) -> None:
        """Close it and take it away, wherever it is; as far as the disk lets us."""
        with suppress(OSError):
            if not self._is_placed:
                self._beside.unlink(missing_ok=True)
            elif self.is_in_place():
                self._path.unlink()
        self.close()

    def close(self) -> None:
        """It stays."""
        os.close(self._descriptor)
