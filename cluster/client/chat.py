"""Chats of the client: messages go in, and what comes back is split into reasoning, content and calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from cluster.api.errors import ClusterError
from cluster.api.model import ModelInfo, VocabularyTable
from cluster.api.sampling import SamplingParams
from cluster.chat.answer import Answer
from cluster.chat.events import ChatEvent
from cluster.client.chatting import ChatModels, Messages, chat_request
from cluster.client.stream import TokenStream

if TYPE_CHECKING:
    from cluster.chat.reader import TurnReader


class ChatStream(Iterator[ChatEvent]):
    """The events of one answer; the last one is an End. Closing it, or dropping it, cancels the request.

    Attributes:
        answer: what has come so far.
    """

    def __init__(self, tokens: TokenStream, reader: TurnReader) -> None:
        self.answer = Answer()
        self._tokens = tokens
        self._reader = reader
        self._events: deque[ChatEvent] = deque()

    def __next__(self) -> ChatEvent:
        while not self._events:
            if self._reader.is_ended:
                self._tokens.close()
                raise StopIteration
            self._events.extend(self._reader.push(next(self._tokens)))
        event = self._events.popleft()
        self.answer.add(event)
        return event

    def close(self) -> None:
        """Cancels the request unless it has ended; nothing more is yielded."""
        self._events.clear()
        self._tokens.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Client(Protocol):
    """What chats need of a client."""

    def model(self) -> ModelInfo: ...
    def vocabulary(self) -> VocabularyTable: ...
    def stream(
        self, prompt: Any, params: SamplingParams | None = None, *, add_special: bool = True, **overrides: Any
    ) -> TokenStream: ...


def open_chat(
    client: _Client,
    models: ChatModels,
    messages: Messages,
    params: SamplingParams | None,
    given: dict[str, Any],
) -> ChatStream:
    """Asks for one answer. `given` as for `chat_request`."""
    request = chat_request(messages, params, given)
    turn = models.make(lambda: (client.model(), client.vocabulary())).prepare(request)
    tokens = client.stream(turn.prompt, turn.params[0], add_special=turn.add_special)
    return ChatStream(tokens, turn.reader(0))


def whole(stream: ChatStream) -> Answer:
    """The answer, when all of it is there."""
    with stream:
        for _ in stream:
            pass
    if stream.answer.finish_reason is None:
        raise ClusterError("chat: the answer was cut off before its end; ask again")
    return stream.answer
