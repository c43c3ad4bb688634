"""The client for asyncio: the same methods as `cluster.client.Client`, awaited."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload

import grpc

from cluster.batch import SMALL_BATCH, Batch, num_open_for
from cluster.batch_progress import BatchProgress, Progress
from cluster.errors import ClusterError, UsageError
from cluster.messages import ClusterStatus, Completion, Float32Array, StepTiming, TokenEvent
from cluster.sampling import SamplingParams
from cluster.wire import calls
from cluster.wire.calls import Call
from cluster.wire.channel import CONNECT_TIMEOUT_MS, open_aio_channel
from cluster.wire.completion import complete
from cluster.wire.prompts import Prompt, Prompts, is_batch
from cluster.wire.service import serialize

Result = TypeVar("Result")


class AsyncTokenStream(AsyncIterator[TokenEvent]):
    """The events of one request. Closing it, or cancelling the task that reads it, cancels the request."""

    def __init__(self, call: Any, decode: Callable[[bytes], list[TokenEvent]], address: str) -> None:
        self._call = call
        self._messages = aiter(call)
        self._decode = decode
        self._address = address
        self._events: deque[TokenEvent] = deque()
        self._is_closed = False

    async def __anext__(self) -> TokenEvent:
        while not self._events:
            self._events.extend(self._decode(await self._next_message()))
        return self._events.popleft()

    async def aclose(self) -> None:
        """Cancels the request unless it has ended; nothing more is yielded."""
        self._is_closed = True
        self._events.clear()
        self._call.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _next_message(self) -> bytes:
        if self._is_closed:
            raise StopAsyncIteration
        try:
            return bytes(await anext(self._messages))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._is_closed and task is not None and not task.cancelling():
                raise StopAsyncIteration from None  # another task closed the stream, not the reader's own
            raise
        except grpc.RpcError as error:
            raise calls.call_error(error, self._address) from None


class AsyncClient:
    """Talks to one cluster over one connection, on the event loop that runs when it is made.

    `address` and errors as for `cluster.client.Client`; an async context manager that closes it.
    """

    def __init__(self, address: str | None = None) -> None:
        self.address = calls.resolve_address(address)
        self._channel = open_aio_channel(self.address)
        self._is_closed = False

    @classmethod
    async def connect(cls, address: str | None = None) -> Self:
        """A client of a cluster that has answered; UnreachableError within a few seconds if none does."""
        client = cls(address)
        try:
            await client.status(timeout_s=CONNECT_TIMEOUT_MS / 1000)
        except BaseException:
            await client.close()
            raise
        return client

    @overload
    async def generate(self, prompt: Prompt, params: SamplingParams | None = None, **overrides: Any) -> Completion: ...
    @overload
    async def generate(
        self,
        prompt: Prompts,
        params: SamplingParams | None = None,
        *,
        progress: Progress = None,
        return_errors: Literal[False] = False,
        **overrides: Any,
    ) -> list[Completion]: ...
    @overload
    async def generate(
        self,
        prompt: Prompts,
        params: SamplingParams | None = None,
        *,
        progress: Progress = None,
        return_errors: Literal[True],
        **overrides: Any,
    ) -> list[Completion | ClusterError]: ...
    async def generate(
        self,
        prompt: Prompt | Prompts,
        params: SamplingParams | None = None,
        *,
        progress: Progress = None,
        return_errors: bool = False,
        **overrides: Any,
    ) -> Completion | list[Completion] | list[Completion | ClusterError]:
        """The completion of a text or of token ids; for several of those, a list in the same order.

        As `Client.generate`; cancelling the task cancels all prompts. An iterator of prompts must not wait.
        """
        if not is_batch(prompt):
            calls.check_single(return_errors)
            return await self._complete(calls.generate_call(prompt, params, overrides, in_one_piece=True))
        found, num_total = calls.batch_calls(prompt, params, overrides)
        with BatchProgress(progress) as report:
            batch = Batch(found, num_total, await self._num_to_open(num_total), report)
            await self._run_batch(batch)
        return batch.results(return_errors)

    def stream(
        self, prompt: Prompt | Prompts, params: SamplingParams | None = None, **overrides: Any
    ) -> AsyncTokenStream:
        """The events of one prompt's completion, as they come; the last one has a finish_reason."""
        return self._open(calls.generate_call(prompt, params, overrides, in_one_piece=False))

    async def logits(self, token_ids: Iterable[int]) -> Float32Array:
        """The logits [T, V] that follow each of T token ids."""
        call, rows = calls.logits_call(token_ids)
        messages = self._start_stream(call)
        try:
            async for data in messages:
                rows.add(call.decode(data))
        except grpc.RpcError as error:
            raise calls.call_error(error, self.address) from None
        finally:
            messages.cancel()
        return rows.finish()

    async def tokenize(self, text: str, *, add_special: bool = True, parse_special: bool = False) -> list[int]:
        """The token ids of `text`; the flags as for `Client.tokenize`."""
        return await self._unary(calls.tokenize_call(text, add_special, parse_special))

    async def detokenize(self, token_ids: Iterable[int]) -> str:
        """The text of token ids."""
        return await self._unary(calls.detokenize_call(token_ids))

    async def status(self, timeout_s: float | None = None) -> ClusterStatus:
        """The cluster now, with a row for each stage."""
        return await self._unary(calls.status_call(), timeout_s)

    async def intervals(self) -> list[StepTiming]:
        """When each stage computed which step, of late; a step may be told up to half a second after it."""
        return await self._unary(calls.intervals_call())

    async def close(self) -> None:
        """Cancels what is running and closes the connection."""
        self._is_closed = True
        await self._channel.close(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _unary(self, call: Call[Result], timeout_s: float | None = None) -> Result:
        self._check_open()
        method = self._channel.unary_unary(call.path, serialize, bytes)
        try:
            data = await method(call.request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise calls.call_error(error, self.address) from None
        return call.decode(data)

    def _start_stream(self, call: Call[Any]) -> Any:
        self._check_open()
        return self._channel.unary_stream(call.path, serialize, bytes)(call.request)

    def _open(self, call: Call[list[TokenEvent]]) -> AsyncTokenStream:
        return AsyncTokenStream(self._start_stream(call), call.decode, self.address)

    async def _complete(self, call: Call[list[TokenEvent]]) -> Completion:
        async with self._open(call) as stream:
            return complete([event async for event in stream])

    async def _num_to_open(self, num_total: int | None) -> int:
        if num_total is not None and num_total <= SMALL_BATCH:
            return max(1, num_total)
        num_open = num_open_for((await self.status()).num_slots)
        return num_open if num_total is None else min(num_open, num_total)

    async def _run_batch(self, batch: Batch[Call[list[TokenEvent]]]) -> None:
        """However it ends, no stream is left open."""
        running: dict[asyncio.Task[Completion], int] = {}
        try:
            while not batch.is_done:
                for place, call in batch.to_send(time.monotonic()):
                    running[asyncio.create_task(self._complete(call))] = place
                for task in await _first_done(running, batch.wait_s(time.monotonic())):
                    batch.settle(running.pop(task), _outcome(task), time.monotonic())
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _check_open(self) -> None:
        if self._is_closed:
            raise UsageError("client: it is closed; connect again")


async def _first_done(
    running: dict[asyncio.Task[Completion], int], timeout_s: float | None
) -> set[asyncio.Task[Completion]]:
    """Those that have ended; waits for the first one, at most so long."""
    if running:
        return (await asyncio.wait(running, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED))[0]
    await asyncio.sleep(timeout_s or 0.0)
    return set()


def _outcome(task: asyncio.Task[Completion]) -> Completion | ClusterError:
    try:
        return task.result()
    except ClusterError as error:
        return error
