"""Memory that two processes of one machine share: one writes into it, the other reads, and a socket tells them where.

The file of the memory has no name, passes the socket that the two have met at, and can neither shrink nor grow.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
from collections import deque
from contextlib import suppress

from cluster.api.errors import UnreachableError, UsageError
from cluster.wire.local.frames import Frames

WORD = struct.Struct("<QQ")  # where a part begins, and its length
RELEASED = b""  # the word back: the oldest part has been read
_SEALS = ("F_SEAL_SHRINK", "F_SEAL_GROW", "F_SEAL_SEAL")


class Written:
    """The side that writes: parts are laid out one behind the other, and the oldest are let go of first."""

    def __init__(self, num_bytes: int) -> None:
        """OSError where the system has no such memory. Pages that were never written to take no room."""
        self.num_bytes = num_bytes
        self.file = os.memfd_create("ggml-cluster", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self.file, num_bytes)
            fcntl.fcntl(self.file, fcntl.F_ADD_SEALS, _seals())
            self._memory = memoryview(mmap.mmap(self.file, num_bytes))
        except (OSError, ValueError):
            os.close(self.file)
            raise
        self._parts: deque[tuple[int, int]] = deque()  # begin and end of each that was not let go of, the oldest first

    @classmethod
    def of(cls, num_bytes: int) -> Written | None:
        """None where the system has no such memory."""
        with suppress(OSError, ValueError, AttributeError):
            return cls(num_bytes)
        return None

    @property
    def is_empty(self) -> bool:
        return not self._parts

    def put(self, data: memoryview) -> bytes | None:
        """Copies it in, and returns the word that tells where; None while there is no room. It must not be empty."""
        place = self._place(len(data))
        if place is None:
            return None
        self._memory[place : place + len(data)] = data
        self._parts.append((place, place + len(data)))
        return WORD.pack(place, len(data))

    def release(self) -> None:
        """The oldest part has been read. UsageError if there is none."""
        if not self._parts:
            raise UsageError("ring: the next rank says that it has read what nobody sent")
        self._parts.popleft()

    def close(self) -> None:
        """The other process keeps what it has."""
        if self.file >= 0:
            os.close(self.file)
            self.file = -1

    def _place(self, length: int) -> int | None:
        """From the beginning wherever that is possible: memory that was used just now is in the caches."""
        if not self._parts:
            return 0 if length <= self.num_bytes else None
        first, end = self._parts[0][0], self._parts[-1][1]
        if end <= first:  # went around: only what lies between is free, and not all of it, or it would look empty
            return end if end + length < first else None
        if end + length <= self.num_bytes:
            return end
        return 0 if length < first else None


class Read:
    """The side that reads."""

    def __init__(self, file: int, num_bytes: int) -> None:
        """Takes over `file`. UsageError for one that is not as large, or could become smaller."""
        try:
            if os.fstat(file).st_size != num_bytes or fcntl.fcntl(file, fcntl.F_GET_SEALS) & _seals() != _seals():
                raise UsageError("ring: the memory that came is not what was announced")
            self._memory = memoryview(mmap.mmap(file, num_bytes, prot=mmap.PROT_READ))
        except (OSError, ValueError) as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"ring: the memory that came cannot be used: {error}") from error
        finally:
            os.close(file)

    def part(self, word: bytes) -> memoryview:
        """What a word names. UsageError for a place that is none."""
        if len(word) != WORD.size:
            raise UsageError(f"ring: {len(word)} bytes name no place in the memory")
        begin, length = WORD.unpack(word)
        if begin + length > len(self._memory):
            raise UsageError(f"ring: {length} bytes at {begin} lie outside of {len(self._memory)} that are shared")
        return self._memory[begin : begin + length]


class Sharing:
    """What one rank sends to the next through memory: words leave by the socket, and come back as parts are read."""

    def __init__(self, frames: Frames, memory: Written) -> None:
        """Sends the file. UnreachableError."""
        self._frames, self._memory = frames, memory
        self._lock = threading.Lock()
        frames.send_file(memory.file)

    def put(self, data: memoryview, timeout_s: float) -> bool:
        """Whether there was room within the time. UnreachableError once the other end is gone."""
        with self._lock:
            if not self._memory.is_empty:
                self._hear()
            word = self._memory.put(data)
            if word is None and self._frames.wait(timeout_s):
                self._hear()
                word = self._memory.put(data)
            if word is None:
                return False
            self._frames.send(word)
            return True

    def close(self) -> None:
        self._memory.close()

    def _hear(self) -> None:
        for word in self._frames.take():
            if word != RELEASED:
                raise UsageError(f"ring: {len(word)} bytes came back, where nothing is said but that a part was read")
            self._memory.release()
        if self._frames.is_over:
            raise UnreachableError("the other end is gone")


def _seals() -> int:
    found = 0
    for name in _SEALS:
        found |= int(getattr(fcntl, name))
    return found
