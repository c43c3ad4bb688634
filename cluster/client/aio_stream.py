"""What the client for asyncio reads of a call: its messages, and the events of one request in them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self

import grpc

from cluster.api.results import TokenEvent
from cluster.client import calls
from cluster.wire.access.endpoint import Endpoint
from cluster.wire.access.proof import Proof


class AsyncMessages(AsyncIterator[bytes]):
    """The messages of one call's answer. Closing it cancels the call; nothing more is yielded."""

    def __init__(self, call: Any, endpoint: Endpoint, proof: Proof | None) -> None:
        """`proof`: what the call was made with; nothing is believed before the answer has proved the secret, too."""
        self._call = call
        self._proof = proof
        self._messages = aiter(call)
        self._endpoint = endpoint
        self._is_closed = False

    async def __anext__(self) -> bytes:
        if self._is_closed:
            raise StopAsyncIteration
        try:
            data = await anext(self._messages, None)
            await self._check()
            if data is None:
                raise StopAsyncIteration
            return bytes(data)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._is_closed and task is not None and not task.cancelling():
                raise StopAsyncIteration from None  # another task closed the stream, not the reader's own
            raise
        except grpc.RpcError as error:
            raise await calls.aio_call_error(error, self._endpoint) from None

    def close(self) -> None:
        self._is_closed = True
        self._call.cancel()

    async def _check(self) -> None:
        proof, self._proof = self._proof, None
        if proof is not None:
            proof.check(await self._call.initial_metadata(), f"the cluster at {self._endpoint.address}")


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
