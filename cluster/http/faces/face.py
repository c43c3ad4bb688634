"""The seam between the server and an API: a body becomes an `Asked`, and events become bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cluster.api.model import ModelInfo, VocabularyTable
from cluster.api.prompt import Segments
from cluster.api.sampling import SamplingParams
from cluster.chat.events import ChatEvent
from cluster.chat.messages import ChatRequest
from cluster.http.settings import HttpSettings

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RawRequest:
    """Prompts without messages. Choices are numbered by prompt, then by choice of that prompt."""

    prompts: tuple[str | tuple[int, ...] | Segments, ...]
    params: SamplingParams
    num_choices: int = 1
    echo: bool = False  # the text of the prompt comes first, as content


@dataclass(frozen=True, slots=True)
class Served:
    """What a face may need to know. Made once, by the server."""

    settings: HttpSettings
    model: ModelInfo
    vocabulary: VocabularyTable
    num_slots: int
    alias: str  # the model's name in answers


class Encoder(Protocol):
    """Spells the events of one request. `push` gets all of them, of all choices, in order; then comes the end.

    Either the bytes of `open`, `push`, `keep_alive` and `close` are sent, or what `whole` gives is.
    """

    content_type: str  # of the stream

    def open(self) -> bytes:
        """What is sent with the headers, before there is an event."""

    def push(self, event: ChatEvent) -> bytes:
        """What is sent for an event; b"" is nothing."""

    def keep_alive(self) -> bytes:
        """What is sent after a silence of ten seconds."""

    def close(self) -> bytes:
        """What is sent when all choices have ended."""

    def whole(self) -> Body:
        """The answer in one piece, after all events. No choice has failed: an error is answered by the server."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a face made of a body."""

    request: ChatRequest | RawRequest
    is_streamed: bool
    encoder: Encoder
    ignored: tuple[str, ...] = ()  # names of fields that are not known, or mean nothing here
    report_progress: bool = False  # of the prompt, as events


@dataclass(frozen=True, slots=True)
class AtOnce:
    """An answer to a body that needs no model."""

    body: Body


class Face(Protocol):
    """One API's endpoint."""

    def parse(self, body: Body, served: Served, request_id: str) -> Asked | AtOnce:
        """UsageError for a wrong value; its message begins with the field's name and a colon."""

    def error(self, problem: Problem) -> Body:
        """What is answered when nothing has been sent yet."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An error on its way to a person."""

    status: int  # of HTTP
    kind: str  # OpenAI's `type`, such as "invalid_request_error"
    message: str
    code: str = ""
    param: str = ""
    retry_after_s: float | None = None
    more: Mapping[str, Any] | None = None  # further fields, such as n_prompt_tokens
    request_id: str = ""


SpelledError = Callable[[Problem], Body]  # in an API's own form
