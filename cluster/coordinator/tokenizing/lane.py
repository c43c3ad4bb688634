"""A lane: texts go to one worker, one at a time, and token ids come back, through memory that both share.

Requests and replies are datagrams of fixed size, so that nothing is ever read by halves: a worker that is killed
leaves no rest of a text for the next one. The text, packed, and then its token ids, lie in the shared memory.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from cluster.api.prompt import Segments
from cluster.coordinator.tokenizing.packed import pack

# number of the request, bytes in the memory, segments in them, add_special, most seconds of CPU time; 0 of those: an
# echo, which is only to be answered
REQUEST = struct.Struct("<III?d")
# number of the request, outcome, value
REPLY = struct.Struct("<IBi")

# Shared memory that grew beyond this for a long text is given back.
KEPT_BYTES = 1 << 20


class Outcome(IntEnum):
    """What became of a text, and what `value` of the reply is then."""

    TOKENS = 0  # how many token ids lie in the memory, as int32
    REFUSED = 1  # bytes of the reason in the memory: the vocabulary cannot spell this text
    NO_MEMORY = 2  # bytes of the reason
    FAILED = 3  # bytes of the reason: libllama gave an error that says nothing about the text
    DIED = 4  # what a worker died of: as `os.waitstatus_to_exitcode`. Said by its parent, of no request in particular


class LaneLostError(Exception):
    """The other end is gone, or did not answer in time."""


@dataclass(frozen=True, slots=True)
class Reply:
    outcome: Outcome
    token_ids: np.ndarray[tuple[int], np.dtype[np.int32]] | None = None
    reason: str = ""
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class LaneEnd:
    """What the child inherits of a lane: numbers of open files."""

    socket: int
    memory: int


class Lane:
    """The coordinator's end. `ask` is for one task at a time, on one event loop."""

    def __init__(self) -> None:
        self._socket, self._other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        self._memory = os.memfd_create("ggml-cluster-lane", 0)
        self._number = 0

    @property
    def child_end(self) -> LaneEnd:
        """For the process to inherit; `started` closes it here."""
        return LaneEnd(self._other.fileno(), self._memory)

    def started(self) -> None:
        """The child has its end: from now on it alone can close it, and that is seen here."""
        self._other.close()

    async def ask(self, segments: Segments, add_special: bool, cpu_s: float, wall_s: float) -> Reply:
        """Tokenise a text, with `cpu_s` of CPU time. LaneLostError, and the lane is of no use any more."""
        data = pack(segments)
        try:
            os.pwrite(self._memory, data, 0)
            number = self._send(len(data), len(segments), add_special, cpu_s)
            async with asyncio.timeout(wall_s):
                outcome, value = await self._reply(number)
        except (OSError, TimeoutError) as error:
            raise LaneLostError(str(error) or f"no answer within {wall_s:.0f} s") from error
        if outcome is Outcome.DIED:
            return Reply(outcome, exit_code=value)
        num_bytes = 4 * value if outcome is Outcome.TOKENS else value
        content = os.pread(self._memory, num_bytes, 0)
        if max(num_bytes, len(data)) > KEPT_BYTES:
            os.ftruncate(self._memory, 0)
        if outcome is Outcome.TOKENS:
            return Reply(outcome, token_ids=np.frombuffer(content, np.int32))
        return Reply(outcome, reason=content.decode(errors="replace"))

    def close(self) -> None:
        self._socket.close()
        self._other.close()
        if self._memory >= 0:
            os.close(self._memory)
            self._memory = -1

    def _send(self, num_bytes: int, num_segments: int, add_special: bool, cpu_s: float) -> int:
        """Send a request. Returns its number."""
        self._number = self._number % 0xFFFFFFFF + 1
        self._socket.send(REQUEST.pack(self._number, num_bytes, num_segments, add_special, cpu_s))
        return self._number

    async def _reply(self, wanted: int) -> tuple[Outcome, int]:
        """The reply to that request.

        A worker that has died may have done so with it or before it. If the request is still on its way, the next
        worker answers it, and then the echo that is sent after it; if only the echo is answered, it was lost.
        """
        loop = asyncio.get_running_loop()
        echo, exit_code = None, 0
        while True:
            data = await loop.sock_recv(self._socket, REPLY.size)
            if not data:
                raise OSError("its process is gone")
            number, outcome, value = REPLY.unpack(data)
            if outcome == Outcome.DIED:
                echo, exit_code = self._send(0, 0, False, 0.0), value
            elif number == wanted:
                return Outcome(outcome), value
            elif number == echo:
                return Outcome.DIED, exit_code
