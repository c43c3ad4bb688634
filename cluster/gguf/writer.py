"""Writes a planned slice file: copies ranges of the source, leaves holes for zeros, hashes on the way."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from cluster.errors import CapacityError, ModelFileError
from cluster.gguf.cut import SlicePlan
from cluster.gguf.encode import aligned
from cluster.gguf.fingerprint import open_source
from cluster.gguf.header import Header

CHUNK_BYTES = 8 << 20
Progress = Callable[[float], object]


class Digest(Protocol):
    def update(self, data: bytes | memoryview, /) -> object: ...
    def hexdigest(self) -> str: ...


def check_room(folder: Path, needed_bytes: int) -> None:
    """CapacityError if fewer than `needed_bytes` are free on the file system of `folder`."""
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        raise CapacityError(
            f"slice store {folder}: a slice needs {needed_bytes} bytes, {free_bytes} are free; "
            "run `cluster cache rm`, or set XDG_CACHE_HOME to a larger disk"
        )


def write_slice(
    plan: SlicePlan, source_path: str, header: Header, target: Path, progress: Progress | None = None
) -> str:
    """Write `plan` to the new file `target`, synced to disk; its SHA-256 (hex), holes read as zeros.

    ModelFileError if the source is not, or does not stay, the file that `header` describes; FileExistsError
    if `target` exists; OSError as the disk gives it. `progress` gets 0..1.
    """
    source = open_source(source_path)
    try:
        _check_unchanged(source, header)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        out = os.open(target, flags, 0o600)
        try:
            os.ftruncate(out, plan.file_bytes)
            digest = hashlib.sha256()
            for done_bytes in _copy(plan, header, source, out, digest):
                if progress is not None:
                    progress(done_bytes / plan.file_bytes)
            _check_unchanged(source, header)
            os.fsync(out)
        finally:
            os.close(out)
    finally:
        os.close(source)
    return digest.hexdigest()


def hash_file(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(plan: SlicePlan, header: Header, source: int, out: int, digest: Digest) -> Iterator[int]:
    """Fill `out` from its start to its end; yields how far it is."""
    buffer = memoryview(bytearray(CHUNK_BYTES))
    zeros = memoryview(bytes(CHUNK_BYTES))
    _write(out, memoryview(plan.header_bytes), 0)
    digest.update(plan.header_bytes)
    position = len(plan.header_bytes)
    for info in plan.tensors:
        for start in range(0, info.size_bytes, CHUNK_BYTES):
            chunk_bytes = min(CHUNK_BYTES, info.size_bytes - start)
            if info.source_offset is None:
                digest.update(zeros[:chunk_bytes])
            else:
                chunk = _read(source, buffer[:chunk_bytes], info.source_offset + start, header)
                _write(out, chunk, position + start)
                digest.update(chunk)
            yield position + start + chunk_bytes
        padding_bytes = aligned(info.size_bytes) - info.size_bytes
        digest.update(zeros[:padding_bytes])
        position += info.size_bytes + padding_bytes


def _read(source: int, chunk: memoryview, offset: int, header: Header) -> memoryview:
    filled = 0
    while filled < len(chunk):
        read_bytes = os.preadv(source, [chunk[filled:]], offset + filled)
        if read_bytes == 0:
            raise ModelFileError(f"{header.path}: file: truncated while it was copied; try again")
        filled += read_bytes
    return chunk


def _write(out: int, chunk: memoryview, offset: int) -> None:
    while chunk:
        written = os.pwrite(out, chunk, offset)
        chunk, offset = chunk[written:], offset + written


def _check_unchanged(source: int, header: Header) -> None:
    status = os.fstat(source)
    if (status.st_size, status.st_mtime_ns) != (header.file_size_bytes, header.mtime_ns):
        raise ModelFileError(f"{header.path}: file: changed after its header was read; try again")
