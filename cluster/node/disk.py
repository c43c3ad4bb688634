"""Errors of the file system that say which path is meant, and what to do: Python names none of a file that is open."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.api.errors import CapacityError, ClusterError, UsageError
from cluster.node.private import check_place

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def disk_error(path: str | Path, error: OSError, advice: str) -> ClusterError:
    """CapacityError where the disk of `path` is full, else UsageError; `advice` ends the sentence."""
    where = error.filename or path
    if error.errno in _FULL:
        return no_room(where, error.strerror or str(error), advice)
    return UsageError(f"{where}: {error.strerror or error}; make it writable, or {advice}")


def no_room(where: str | Path, why: str, advice: str) -> CapacityError:
    """What a full disk is told as; `advice` ends the sentence."""
    return CapacityError(f"{where}: {why}; make room there, or {advice}")


@contextmanager
def named_errors(path: str | Path, advice: str) -> Iterator[None]:
    """In the block, an OSError becomes `disk_error`."""
    try:
        yield
    except OSError as error:
        raise disk_error(path, error, advice) from error


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """A folder that is gone after the block. Errors of the disk in the block are those of `disk_error`."""
    advice = "set TMPDIR to a folder on another disk"
    with (
        named_errors(temporary_root(), advice),
        tempfile.TemporaryDirectory(prefix=prefix, dir=safe_tempdir()) as folder,
    ):
        yield Path(folder)


def temporary_root() -> str:
    """Where temporary files are made; where they would be if that cannot be used."""
    try:
        return tempfile.gettempdir()
    except OSError:  # none of the usual folders can be written
        return "/tmp"


def safe_tempdir() -> Path:
    """The first of the temporary folders in which nobody else can put a thing in the place of ours. ClusterError."""
    reasons = []
    for parent in tempdirs():
        try:
            check_place(parent / "any")
        except (ClusterError, OSError) as error:
            reasons.append(str(error).partition(";")[0])
        else:
            return parent
    raise ClusterError(f"temporary folder: {', '.join(reasons)}; set TMPDIR to a folder of your own")


def tempdirs() -> list[Path]:
    """Where temporary files may go: as Python chooses, else /tmp, else /var/tmp."""
    return list(dict.fromkeys(Path(name).resolve() for name in (temporary_root(), "/tmp", "/var/tmp")))
