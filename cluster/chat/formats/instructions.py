"""What a model is told of tools and schemas where its template does not tell it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from cluster.chat.formats.format import ToolFormat
from cluster.chat.formats.spelling import spelled
from cluster.chat.messages import FormatKind, Message, ResponseFormat, Tool, ToolCall

_EXAMPLE = ToolCall("abcdefghi", "NAME", '{"ARGUMENT": "VALUE"}')


def tools_text(form: ToolFormat, tools: Sequence[Tool]) -> str:
    """The functions, and how they are called."""
    functions = "\n".join(
        json.dumps(
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters}, ensure_ascii=False
        )
        for tool in tools
    )
    return (
        "You may call functions to help with the request. These are there, each described by a line of JSON:\n"
        f"<tools>\n{functions}\n</tools>\n\n"
        "To call one, answer in this form, with its name and its arguments:\n"
        f"{spelled(form, [_EXAMPLE])}"
    )


def format_text(wanted: ResponseFormat) -> str:
    """What the content is to be; empty if it may be anything."""
    if wanted.kind is FormatKind.JSON_OBJECT:
        return "Answer with one JSON object and nothing else."
    if wanted.kind is FormatKind.JSON_SCHEMA:
        schema = json.dumps(wanted.schema, ensure_ascii=False)
        return f"Answer with JSON and nothing else; it must follow this JSON schema: {schema}"
    return ""


def calls_as_text(form: ToolFormat, message: Message) -> Message:
    """A message with its calls in its content, for a template that would leave them out."""
    if not message.tool_calls:
        return message
    calls = spelled(form, message.tool_calls)
    return replace(message, content=f"{message.content}\n{calls}".lstrip("\n"), tool_calls=())
