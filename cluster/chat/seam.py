"""What a chat needs of the templates of a model. `cluster.chat.templates` has it; tests have a smaller one."""

from __future__ import annotations

from typing import Protocol

from cluster.api.prompt import Segments
from cluster.chat.messages import ChatRequest


class RenderedPrompt(Protocol):
    """The prompt of a request."""

    @property
    def segments(self) -> Segments: ...
    @property
    def add_special(self) -> bool: ...
    @property
    def text(self) -> str: ...
    @property
    def open_tail(self) -> str:
        """The end of the prompt, after all messages: it may open the reasoning."""


class Traits(Protocol):
    """What the templates can do, as probing showed."""

    @property
    def takes_tools(self) -> bool: ...
    @property
    def takes_calls(self) -> bool: ...
    @property
    def takes_response_format(self) -> bool: ...
    @property
    def source(self) -> str:
        """Where they are from: "model", "override" or "fallback"."""

    @property
    def failure(self) -> str:
        """Why they cannot be used at all; empty if they can."""


class Templates(Protocol):
    @property
    def traits(self) -> Traits: ...
    @property
    def source_text(self) -> str: ...
    def render(self, request: ChatRequest, tools_text: str = "") -> RenderedPrompt:
        """UsageError if the templates refuse the messages. Blocks, for at most about two seconds."""

    def close(self) -> None: ...
