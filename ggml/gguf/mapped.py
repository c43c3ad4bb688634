"""Files in memory: mapped, so that nothing is read before it is looked at."""

from __future__ import annotations

import mmap
import os
import stat
from typing import NamedTuple

from ggml.gguf.errors import GgufError

_MIN_BYTES = 24  # magic, version and the two counts


class MappedFile(NamedTuple):
    """The bytes of a file, and when it was last changed."""

    data: mmap.mmap
    mtime_ns: int


def map_file(path: str, access: int = mmap.ACCESS_READ) -> MappedFile:
    """The whole of a regular file that is large enough for a header.

    OSError where it cannot be opened, GgufError where it is no such file.
    """
    # Opening a pipe must not wait for its writer; on a regular file O_NONBLOCK has no effect.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except ValueError as error:  # a null character
        raise GgufError(path, "cannot be opened", str(error)) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise GgufError(path, "file", "not a regular file")
        if status.st_size < _MIN_BYTES:
            raise GgufError(path, "file", f"{status.st_size} bytes are too few for a GGUF header")
        return MappedFile(mmap.mmap(descriptor, status.st_size, access=access), status.st_mtime_ns)
    finally:
        os.close(descriptor)
