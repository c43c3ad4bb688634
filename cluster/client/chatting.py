"""What both clients' chats have in common: what is asked, and the model that writes the prompts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypedDict

from cluster.api.model import ModelInfo, VocabularyTable
from cluster.api.sampling import SamplingParams
from cluster.chat.messages import ChatRequest, Message, ResponseFormat, Tool, ToolChoice
from cluster.chat.openai_shape import messages_of, response_format_of, tool_choice_of, tools_of
from cluster.client.prompts import merge_params

if TYPE_CHECKING:
    from cluster.chat.model import ChatModel

Messages = Sequence[Mapping[str, Any] | Message]
Tools = Sequence[Mapping[str, Any] | Tool]


class ChatOptions(TypedDict, total=False):
    """What else a chat may be asked with.

    tools: functions that the model may call, as dicts in OpenAI's shape, or Tools.
    tool_choice: "auto", "none", "required", the one to call as a dict in OpenAI's shape, or a ToolChoice.
    parallel_tool_calls: whether an answer may have several calls.
    response_format: what the content must look like: {"type": "json_schema", ...}, or a ResponseFormat.
    template_arguments: variables of the chat template, such as {"enable_thinking": False}.
    continue_final_message: the answer goes on where the last message, an assistant's, ends.
    """

    tools: Tools | None
    tool_choice: str | Mapping[str, Any] | ToolChoice | None
    parallel_tool_calls: bool
    response_format: Mapping[str, Any] | ResponseFormat | None
    template_arguments: Mapping[str, Any]
    continue_final_message: bool


def chat_request(messages: Messages, params: SamplingParams | None, given: dict[str, Any]) -> ChatRequest:
    """`given`: ChatOptions, and fields of `params` to replace. Without `params`, answers are as long as they will."""
    options = {name: given.pop(name) for name in ChatOptions.__annotations__ if name in given}
    tools = tools_of(options.get("tools"))
    continues = bool(options.get("continue_final_message", False))
    return ChatRequest(
        messages_of(messages),
        merge_params(params or replace(SamplingParams(), max_tokens=None), given),
        tools,
        tool_choice_of(options.get("tool_choice"), tools),
        bool(options.get("parallel_tool_calls", True)),
        response_format_of(options.get("response_format")),
        dict(options.get("template_arguments") or {}),
        add_generation_prompt=not continues,
        continue_final_message=continues,
    )


class ChatModels:
    """The one of a connection, made when it is first needed. Threads may share it."""

    def __init__(self) -> None:
        self._model: ChatModel | None = None
        self._making = threading.Lock()

    def made(self) -> ChatModel | None:
        return self._model

    def make(self, facts: Callable[[], tuple[ModelInfo, VocabularyTable]]) -> ChatModel:
        """Blocks for about a second the first time."""
        from cluster.chat.model import ChatModel  # templates and grammars load much that few clients need

        with self._making:
            if self._model is None:
                self._model = ChatModel.of(*facts())
            return self._model

    def close(self) -> None:
        with self._making:
            model, self._model = self._model, None
        if model is not None:
            model.close()
