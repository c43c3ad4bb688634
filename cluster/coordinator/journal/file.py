"""The journal's file: begun beside its place, moved there once it is sound, and from then on only added to."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cluster.node.private import check_folder
from cluster.store.folder import sync_folder

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class JournalFile:
    """A new file of this user alone, which takes the place of `path` with `put_in_place`.

    Attributes:
        size_bytes: what has been added; less is sure to be on disk.
    """

    def __init__(self, path: Path, sync: Callable[[int], None]) -> None:
        """ClusterError where others may write into the folder; OSError as the disk gives it."""
        check_folder(path.parent, others_may_look=True)
        self.size_bytes = 0
        self._path = path
        self._sync = sync
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

    def sync(self) -> None:
        """All that was added outlives a power failure."""
        self._sync(self._descriptor)

    def put_in_place(self) -> None:
        """In one step, with all that was added."""
        self.sync()
        self._beside.replace(self._path)
        self._is_placed = True
        sync_folder(self._path.parent)

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
                sync_folder(self._path.parent)
        self.close()

    def close(self) -> None:
        """It stays."""
        os.close(self._descriptor)
