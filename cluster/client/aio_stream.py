"""What the client for asyncio reads of a call: its messages, and the events of one request in them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self

import grpc

from cluster.api.results import TokenEvent
from cluster.client import calls
from cluster.client.calls import Call
from cluster.client.cancels import AioCancels
from cluster.client.open_calls import OpenCalls
from cluster.client.resuming import Keeping, Opened, Resuming


class AsyncMessages(AsyncIterator[bytes]):
    """The messages of one call's answer. Closing or dropping it cancels what was asked; nothing more is yielded."""

    def __init__(self, open_call: Callable[[], Opened], keeping: Keeping, call: Call[Any], cancels: AioCancels) -> None:
        """`open_call` begins the call, and does so again where the connection broke and the call can be made again.

        `cancels`: says that no more is wanted of requests. Nothing is believed before the answer has proved the
        secret, too.
        """
        self._is_over = False
        self._open_tickets, self._cancels = call.tickets, cancels
        self._resuming = Resuming(open_call, keeping, call)
        begun = self._resuming.begin()  # it says what to do where no loop runs
        self.loop = asyncio.get_running_loop()
        self._take(begun)

    async def __anext__(self) -> bytes:
        try:
            while not self._is_over:
                try:
                    data = await anext(self._messages, None)
                    if self._resuming.must_prove:
                        self._resuming.learn(await self._call.initial_metadata())
                    if data is None:
                        self._is_over = True
                        break
                    self._resuming.received()
                    return bytes(data)
                except grpc.RpcError as error:
                    if self._resuming.is_whole:
                        break
                    await self._go_on(error)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._is_over and task is not None and not task.cancelling():
                raise StopAsyncIteration from None  # another task closed the stream, not the reader's own
            self.close()
            raise
        raise StopAsyncIteration

    def close(self) -> None:
        self._cancel()
        self._call.cancel()

    def __del__(self) -> None:
        if hasattr(self, "_call"):  # it was begun
            self._cancel()

    def _cancel(self) -> None:
        """Where it is dropped, too: nothing in here waits, or takes a lock."""
        if not self._is_over:
            self._is_over = True
            if tickets := self._open_tickets():
                self._cancels.tell(self.loop, tickets)

    def _take(self, call: Any) -> None:
        self._call, self._messages = call, aiter(call)

    async def _go_on(self, error: grpc.RpcError) -> None:
        """Make the call again, or raise what became of it."""
        pause_s = self._resuming.pause_s(error, time.monotonic())
        if pause_s is None:
            self._is_over = True
            raise await calls.aio_call_error(error, self._resuming.endpoint) from None
        await asyncio.sleep(pause_s)
        if not self._is_over:
            self._take(self._resuming.begin_again())


class OpenAsyncMessages(OpenCalls[AsyncMessages]):
    """Those of one client, of all its loops, which may run in several threads."""

    def close(self) -> None:
        """Closes all of the running loop."""
        loop = asyncio.get_running_loop()
        for messages in self.all():
            if messages.loop is loop:
                messages.close()


class AsyncTokenStream(AsyncIterator[TokenEvent]):
    """The events of one request. Closing it, or cancelling the task that reads it, cancels the request."""

    def __init__(self, messages: AsyncMessages, decode: Callable[[bytes], list[TokenEvent]]) -> None:
        self._messages = messages
        self._decode = decode
        self._events: deque[TokenEvent] = deque()

    async def __anext__(self) -> TokenEvent:
        while not self._events:
            self._events.extend(self._decode(await anext(self._messages)))
        return self._events.popleft()

    async def take(self) -> list[TokenEvent]:
        """All events that have come together, one at least; [] after the last one."""
        while not self._events:
            data = await anext(self._messages, None)
            if data is None:
                return []
            self._events.extend(self._decode(data))
        taken = list(self._events)
        self._events.clear()
        return taken

    def close(self) -> None:
        """Cancels the request unless it has ended; nothing more is yielded."""
        self._events.clear()
        self._messages.close()

    async def aclose(self) -> None:
        """The same."""
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
