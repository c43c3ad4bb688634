"""The blocks of a conversation as messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import orjson

from cluster.chat.messages import Message, Role, ToolCall
from cluster.chat.pictures import Picture, joined_parts, picture_of_base64, picture_of_url
from cluster.http.faces.fields import Fields, objects
from cluster.http.faces.parts import BETWEEN_PARTS, content_text, part_text

ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM}
# The first block that Claude Code sends. It tells its maker whom to bill, and older versions change it with each
# request, so that nothing of the prompt behind it could be found in the cache.
BILLING = "x-anthropic-billing-header:"


def system_text(fields: Fields, skipped: Callable[[str], None]) -> str:
    """The field `system`: a string, or blocks of text."""
    value = fields.any("system")
    if not isinstance(value, list):
        return fields.text("system")
    texts = [part_text(block, skipped) for block in objects(value, fields.name_of("system"))]
    return BETWEEN_PARTS.join(text for text in texts if text and not text.startswith(BILLING))


class Conversation:
    """Takes messages in their order; each becomes one or more."""

    def __init__(self) -> None:
        self.ignored: list[str] = []
        self.messages: list[Message] = []
        self._names: dict[str, str] = {}  # of the tools used, by the use's id

    def add(self, given: Iterable[Fields]) -> None:
        """UsageError for a message that is wrong."""
        for message in given:
            if not message.text("role"):
                raise message.wrong("role", f"it is missing; give one of {', '.join(ROLES)}")
            role = message.choice("role", ROLES, Role.USER)
            if isinstance(message.any("content"), str):
                self.messages.append(Message(role, message.text("content")))
            elif role is Role.ASSISTANT:
                self._add_assistant(message.inners("content"))
            else:
                self._add_user(role, message.inners("content"))

    def _add_user(self, role: Role, blocks: Iterable[Fields]) -> None:
        """Results come before the text of the same turn: they answer what came before, and the text what they say."""
        parts: list[str | Picture] = []
        has_results = False
        for block in blocks:
            if block.text("type") == "tool_result":
                self.messages.append(self._result(block))
                has_results = True
            elif block.text("type") == "image" and role is Role.USER:
                parts.append(_picture(block))
            else:
                parts.append(part_text(block, self.ignored.append))
        text, pictures = joined_parts([part for part in parts if part])
        if text or not has_results:
            self.messages.append(Message(role, text, pictures=pictures))

    def _result(self, block: Fields) -> Message:
        use_id = block.text("tool_use_id")
        text = content_text(block, "content", self.ignored.append)
        if block.flag("is_error"):
            text = f"Error: {text}"
        return Message(Role.TOOL, text, tool_call_id=use_id, name=self._names.get(use_id, ""))

    def _add_assistant(self, blocks: Iterable[Fields]) -> None:
        turn = _Turn()
        for block in blocks:
            match block.text("type"):
                case "thinking":
                    turn.reasoning.append(block.text("thinking"))
                case "redacted_thinking":  # nobody but its maker can read it
                    block.skip("data")
                case "tool_use":
                    call = _call(block)
                    self._names[call.id] = call.name
                    turn.calls.append(call)
                case _:
                    turn.texts.append(part_text(block, self.ignored.append))
        self.messages.append(turn.message())


@dataclass(slots=True)
class _Turn:
    reasoning: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)

    def message(self) -> Message:
        content = BETWEEN_PARTS.join(text for text in self.texts if text)
        reasoning = BETWEEN_PARTS.join(text for text in self.reasoning if text)
        return Message(Role.ASSISTANT, content, reasoning, tuple(self.calls))


def _picture(block: Fields) -> Picture:
    source = block.inner("source")
    kind = "" if source is None else source.text("type")
    if source is None or kind not in ("base64", "url"):
        raise block.wrong("source", "only pictures in base64 are read, and URLs; give {type, media_type, data}")
    if kind == "url":
        return picture_of_url(source.text("url"), source.name_of("url"))
    source.skip("media_type")  # their bytes say it
    return picture_of_base64(source.text("data"), source.name_of("data"))


def _call(block: Fields) -> ToolCall:
    name = block.text("name")
    if not name:
        raise block.wrong("name", "a tool_use has none; give the tool's")
    return ToolCall(block.text("id"), name, orjson.dumps(block.mapping("input") or {}).decode())
