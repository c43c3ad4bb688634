"""Frames: how records lie in a file, so that one that was torn or damaged is known as such."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from cluster.coordinator.journal.limits import MAX_FRAME_BYTES
from cluster.wire.limits import check_length

_HEAD = struct.Struct("<II")  # bytes of the record, and their CRC-32


def frame_of(record: bytes) -> bytes:
    """The record with its head. UsageError if it is longer than what is read back."""
    check_length("record", record, MAX_FRAME_BYTES)
    return _HEAD.pack(len(record), zlib.crc32(record)) + record


class Frames(Iterator[bytes]):
    """The records of `file`, from byte `position` to the first place where no sound one lies.

    Asked again at the end of a file that has grown since, it goes on.

    Attributes:
        position: in bytes, behind the last record that was given.
    """

    def __init__(self, file: BinaryIO, position: int = 0) -> None:
        self._file = file
        self.position = file.seek(position)

    def __next__(self) -> bytes:
        """Raises OSError as reading does."""
        head = self._file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            raise StopIteration
        num_bytes, checksum = _HEAD.unpack(head)
        # Zeros, as a file system may leave them after a power failure, would be sound frames without bytes.
        if not 0 < num_bytes <= MAX_FRAME_BYTES:
            raise StopIteration
        record = self._file.read(num_bytes)
        if len(record) < num_bytes or zlib.crc32(record) != checksum:
            raise StopIteration
        self.position += _HEAD.size + num_bytes
        return record
