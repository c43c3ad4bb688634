"""Vocabularies of a few names, and models with a template, without a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from cluster.api.model import ModelInfo, TokenKind, VocabularyTable
from cluster.chat.messages import ChatRequest, Message, Role, Tool, ToolCall
from cluster.chat.templates.templates import ChatTemplates

NAMES = ("<s>", "</s>", "<|im_start|>", "<|im_end|>", "[INST]", "[/INST]", "<start_of_turn>", "<end_of_turn>")
DEFINED = ("<think>", "</think>", "<tool_call>", "  ", "<table>", "\n\n")

USER, SYSTEM, ASSISTANT, TOOL = Role.USER, Role.SYSTEM, Role.ASSISTANT, Role.TOOL
WEATHER = Tool("weather", "The weather of a city", {"type": "object", "properties": {"city": {"type": "string"}}})
CALLED = (
    Message(USER, "Rain?"),
    Message(ASSISTANT, "", tool_calls=(ToolCall("call_1", "weather", '{"city": "Ulm"}'),)),
    Message(TOOL, "none", tool_call_id="call_1", name="weather"),
)


def vocabulary(names: Sequence[str] = NAMES, defined: Sequence[str] = DEFINED) -> VocabularyTable:
    kinds = (TokenKind.CONTROL,) * len(names) + (TokenKind.USER_DEFINED,) * len(defined) + (TokenKind.NORMAL,)
    return VocabularyTable((*(name.encode() for name in (*names, *defined)), b"a"), kinds)


def model(templates: str | Mapping[str, str]) -> ModelInfo:
    """With BOS "<s>" and EOS "</s>"."""
    by_name = {"": templates} if isinstance(templates, str) else dict(templates)
    return ModelInfo("m", "h", "llama", 64, 64, 8, 9, 2, 1, 1, "", 0, 1, (1,), True, by_name)


@contextmanager
def templates(source: str | Mapping[str, str], **options: object) -> Iterator[ChatTemplates]:
    found = ChatTemplates.of(model(source), vocabulary(), **options)  # type: ignore[arg-type]
    try:
        yield found
    finally:
        found.close()


def ask(*messages: Message, **fields: object) -> ChatRequest:
    return ChatRequest(messages, **fields)  # type: ignore[arg-type]


def user(text: str) -> ChatRequest:
    return ask(Message(USER, text))
