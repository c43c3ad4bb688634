"""The choices of one request: a stream of the cluster for each, and their events in one row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from cluster.api.errors import ClusterError
from cluster.api.results import FinishReason, Timings, TokenEvent
from cluster.chat.events import ChatEvent, End, Failed
from cluster.client.aio_stream import AsyncTokenStream


class Reader(Protocol):
    """Makes events of what one stream brings."""

    def push(self, event: TokenEvent) -> list[ChatEvent]: ...


@dataclass(slots=True)
class Choice:
    """One of them."""

    index: int
    stream: AsyncTokenStream
    reader: Reader
    has_ended: bool = False
    num_tokens: int = 0  # so far
    failure: ClusterError | None = None  # why it was closed, if nobody asked for that

    async def take(self) -> list[ChatEvent]:
        """What has come since the last time; waits for it. A failure is the last event."""
        try:
            tokens = await self.stream.take()
        except ClusterError as error:
            self.has_ended = True
            return [Failed(self.index, error)]
        events: list[ChatEvent] = []
        for token in tokens:
            self.num_tokens += token.token is not None
            events += self.reader.push(token)
        if not tokens and self.failure is not None:
            self.has_ended = True
            return [Failed(self.index, self.failure)]
        if not tokens:  # it was closed before its end
            events.append(End(self.index, FinishReason.CANCELLED, Timings(num_tokens=self.num_tokens)))
        self.has_ended = bool(events) and isinstance(events[-1], End)
        return events


class Choices:
    """In a with block, at whose end whatever is still asked of the cluster is cancelled."""

    def __init__(self, choices: Sequence[Choice]) -> None:
        self._choices = choices

    def close(self, failure: ClusterError | None = None) -> None:
        """Cancel all of them; each then ends, as if its text did, or with a failure."""
        for choice in self._choices:
            choice.failure = failure
            choice.stream.close()

    async def batches(self) -> AsyncGenerator[list[ChatEvent]]:
        """Events as they come, those that came together in one list; until all have ended, or one has failed."""
        if len(self._choices) == 1:
            (choice,) = self._choices
            while not choice.has_ended:
                yield await choice.take()
            return
        waiting: list[ChatEvent] = []
        ready = asyncio.Event()
        tasks = [asyncio.create_task(_pump(choice, waiting, ready)) for choice in self._choices]
        try:
            while waiting or not all(choice.has_ended for choice in self._choices):
                await ready.wait()
                ready.clear()
                events = waiting[:]
                waiting.clear()
                yield events
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(choice: Choice, waiting: list[ChatEvent], ready: asyncio.Event) -> None:
    """Whatever goes wrong is an event: the one who reads `waiting` would wait for ever."""
    while not choice.has_ended:
        try:
            waiting.extend(await choice.take())
        except Exception as error:
            choice.has_ended = True
            failure = ClusterError("server: an internal error")
            failure.__cause__ = error
            waiting.append(Failed(choice.index, failure))
        ready.set()
