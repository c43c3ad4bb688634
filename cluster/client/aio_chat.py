"""Chats of the client for asyncio."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from cluster.api.errors import ClusterError
from cluster.api.model import ModelInfo, VocabularyTable
from cluster.api.sampling import SamplingParams
from cluster.chat.answer import Answer
from cluster.chat.events import ChatEvent
from cluster.client.aio_stream import AsyncTokenStream
from cluster.client.chatting import ChatModels, Messages, chat_request

if TYPE_CHECKING:
    from cluster.chat.messages import ChatRequest
    from cluster.chat.reader import TurnReader
    from cluster.chat.turn import Turn


class _Client(Protocol):
    """What chats need of a client."""

    async def model(self) -> ModelInfo: ...
    async def vocabulary(self) -> VocabularyTable: ...
    def stream(
        self, prompt: Any, params: SamplingParams | None = None, *, add_special: bool = True, **overrides: Any
    ) -> AsyncTokenStream: ...


class AsyncChatStream(AsyncIterator[ChatEvent]):
    """The events of one answer; the last one is an End. Closing it, or cancelling its reader, cancels the request.

    Attributes:
        answer: what has come so far.
    """

    def __init__(self, client: _Client, models: ChatModels, request: ChatRequest) -> None:
        """Nothing is asked before the first event is waited for."""
        self.answer = Answer()
        self._client = client
        self._models = models
        self._request = request
        self._tokens: AsyncTokenStream | None = None
        self._reader: TurnReader | None = None
        self._events: deque[ChatEvent] = deque()
        self._is_closed = False

    async def __anext__(self) -> ChatEvent:
        while not self._events:
            if self._is_closed or (self._reader is not None and self._reader.is_ended):
                self.close()
                raise StopAsyncIteration
            if self._tokens is None or self._reader is None:
                self._tokens, self._reader = await self._open()
            self._events.extend(self._reader.push(await anext(self._tokens)))
        event = self._events.popleft()
        self.answer.add(event)
        return event

    def close(self) -> None:
        """Cancels the request unless it has ended; nothing more is yielded."""
        self._is_closed = True
        self._events.clear()
        if self._tokens is not None:
            self._tokens.close()

    async def aclose(self) -> None:
        """The same."""
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _open(self) -> tuple[AsyncTokenStream, TurnReader]:
        turn = await self._turn()
        tokens = self._client.stream(turn.prompt, turn.params[0], add_special=turn.add_special)
        return tokens, turn.reader(0)

    async def _turn(self) -> Turn:
        """In a thread: templates and grammars block."""
        model = self._models.made()
        if model is None:
            facts = await self._client.model(), await self._client.vocabulary()
            model = await asyncio.to_thread(self._models.make, lambda: facts)
        return await asyncio.to_thread(model.prepare, self._request)


def open_chat(
    client: _Client, models: ChatModels, messages: Messages, params: SamplingParams | None, given: dict[str, Any]
) -> AsyncChatStream:
    """Asks for one answer. `given` as for `chat_request`."""
    return AsyncChatStream(client, models, chat_request(messages, params, given))


async def whole(stream: AsyncChatStream) -> Answer:
    """The answer, when all of it is there."""
    async with stream:
        async for _ in stream:
            pass
    if stream.answer.finish_reason is None:
        raise ClusterError("chat: the answer was cut off before its end; ask again")
    return stream.answer
