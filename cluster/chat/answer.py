"""The answer of one choice in one piece."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.api.errors import ClusterError
from cluster.api.results import FinishReason, Timings
from cluster.chat.events import (
    CallArguments,
    CallBegin,
    CallEnd,
    ChatEvent,
    Content,
    End,
    Failed,
    PromptProgress,
    Reasoning,
    Started,
    TokenLogprob,
)
from cluster.chat.messages import Message, Role, ToolCall


@dataclass(frozen=True, slots=True)
class Usage:
    """How many tokens an answer took, by OpenAI's words."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int  # of the prompt's, those that did not have to be computed
    reasoning_tokens: int  # of the completion's

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class Answer:
    """Collects the events of one choice. It is whole when `finish_reason` or `error` is set.

    Attributes:
        content_logprobs, reasoning_logprobs: of the tokens of these texts, where they were asked for.
        num_reasoning_tokens: of the generated ones, `num_tokens`.
        stop_string: which one ended it.
    """

    def __init__(self, choice: int = 0) -> None:
        self.choice = choice
        self.content_logprobs: list[TokenLogprob] = []
        self.reasoning_logprobs: list[TokenLogprob] = []
        self.num_prompt_tokens = 0
        self.num_cached_tokens = 0
        self.num_reasoning_tokens = 0
        self.finish_reason: FinishReason | None = None
        self.timings = Timings()
        self.stop_string: str | None = None
        self.error: ClusterError | None = None
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[CallBegin] = []
        self._arguments: list[list[str]] = []  # of each call

    def __repr__(self) -> str:
        calls = f", tool_calls={self.tool_calls!r}" if self._calls else ""
        return f"Answer(content={self.content!r}{calls}, finish_reason={self.finish_reason!r})"

    @property
    def content(self) -> str:
        return "".join(self._content)

    @property
    def reasoning(self) -> str:
        return "".join(self._reasoning)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(
            ToolCall(call.id, call.name, "".join(arguments))
            for call, arguments in zip(self._calls, self._arguments, strict=True)
        )

    @property
    def num_tokens(self) -> int:
        """Generated, with those of reasoning and calls."""
        return self.timings.num_tokens

    @property
    def usage(self) -> Usage:
        return Usage(self.num_prompt_tokens, self.num_tokens, self.num_cached_tokens, self.num_reasoning_tokens)

    @property
    def message(self) -> Message:
        """The turn as a conversation goes on with it."""
        return Message(Role.ASSISTANT, self.content, self.reasoning, self.tool_calls)

    def add(self, event: ChatEvent) -> None:
        """`event` is of this choice."""
        match event:
            case Content():
                self._content.append(event.text)
                self.content_logprobs.extend(event.logprobs)
            case Reasoning():
                self._reasoning.append(event.text)
                self.reasoning_logprobs.extend(event.logprobs)
            case CallBegin():
                self._calls.append(event)
                self._arguments.append([])
            case CallArguments():
                self._arguments[event.index].append(event.text)
            case Started():
                self.num_prompt_tokens = event.num_prompt_tokens
                self.num_cached_tokens = event.num_cached_tokens
            case End():
                self.finish_reason = event.reason
                self.timings = event.timings
                self.stop_string = event.stop_string
                self.num_reasoning_tokens = event.num_reasoning_tokens
            case Failed():
                self.error = event.error
            case CallEnd() | PromptProgress():
                pass
