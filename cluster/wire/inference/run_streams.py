"""Calls of programs: arrays come in parts, are checked before room is made for them, and go back in parts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from cluster.api.errors import CapacityError, ClusterError, UsageError
from cluster.messages.program import Arrays
from cluster.wire.access.client_name import client_name
from cluster.wire.codec.arrays import ArraysAssembly, array_parts
from cluster.wire.inference.aborting import Context
from cluster.wire.inference.backend import GivenArray, InferenceBackend
from cluster.wire.inference.mailbox import LoopMailbox, StreamInbox
from cluster.wire.limits import MAX_CALL_BYTES, parse
from protos import arrays_pb2

# Bytes of arrays that this process holds: those that come in, wait, are sent on, or are not read by their client yet.
MAX_HELD_BYTES = 3 * MAX_CALL_BYTES
PART_TIMEOUT_S = 60.0  # for the next part of a call, or of its answer: who sends or reads nothing is not waited for

Opened = Callable[[StreamInbox[Arrays | ClusterError], Callable[[], None]], AbstractContextManager[None]]


class RunStreams:
    """Lives on one event loop."""

    def __init__(self, backend: InferenceBackend, mailbox: LoopMailbox, opened: Opened) -> None:
        """`opened(inbox, cancel)`: around a stream that is open."""
        self._backend = backend
        self._mailbox = mailbox
        self._opened = opened
        self._held: Counter[str] = Counter()  # bytes, by client

    async def run(self, parts: AsyncIterator[bytes], context: Context) -> None:
        """One call, for `service.register`."""
        client = client_name(context)
        with self._holding(client) as hold:
            symbols, arrays = await self._arrays(parts, hold)
            inbox: StreamInbox[Arrays | ClusterError] = StreamInbox(self._mailbox)
            cancel = self._backend.run(symbols, arrays, inbox.put, client)
            del arrays
            with self._opened(inbox, cancel):
                (answer, *_) = await inbox.take_all()
        if isinstance(answer, ClusterError):
            raise answer
        with self._holding(client) as hold:
            hold(sum(len(one.data) for one in answer.values()))
            for part in array_parts(answer):
                await _written(context, part)

    async def _arrays(self, parts: AsyncIterator[bytes], hold: Callable[[int], None]) -> tuple[tuple[int, ...], Arrays]:
        """The arrays of a call, whole, and its extents. UsageError before more than their headers are read."""
        message = await _next(parts)
        assembly = ArraysAssembly("array", message.arrays)
        symbols = self._backend.check_run({name: GivenArray(*one) for name, one in assembly.shapes.items()})
        while True:
            hold(len(message.data))
            assembly.add(message.data)
            if assembly.is_complete:
                return symbols, assembly.take()
            message = await _next(parts)
            if message.arrays:
                raise UsageError("run: headers in a later part; name all arrays in the first")

    @contextmanager
    def _holding(self, client: str) -> Iterator[Callable[[int], None]]:
        """Counts what a call holds, until it ends. CapacityError once the client, or all together, hold too much."""
        held = 0

        def hold(num_bytes: int) -> None:
            nonlocal held
            most = MAX_HELD_BYTES - self._held.total()
            if num_bytes > min(most, MAX_HELD_BYTES // 2 - self._held[client]):
                raise CapacityError("run: the arrays of other calls take all the room; ask again later")
            held += num_bytes
            self._held[client] += num_bytes

        try:
            yield hold
        finally:
            self._held[client] -= held
            if not self._held[client]:
                del self._held[client]


async def _written(context: Context, part: arrays_pb2.ArraysPart) -> None:
    try:
        await asyncio.wait_for(context.write(part), PART_TIMEOUT_S)
    except TimeoutError:
        raise CapacityError(f"run: its answer was not read within {PART_TIMEOUT_S:.0f} s; read it at once") from None


async def _next(parts: AsyncIterator[bytes]) -> arrays_pb2.ArraysPart:
    try:
        return parse(arrays_pb2.ArraysPart, await asyncio.wait_for(anext(parts), PART_TIMEOUT_S))
    except StopAsyncIteration:
        raise UsageError("run: the stream ended before all arrays had come; send them whole") from None
    except TimeoutError:
        raise UsageError(f"run: no part came within {PART_TIMEOUT_S:.0f} s; send the arrays at once") from None
