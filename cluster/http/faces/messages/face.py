"""POST /v1/messages, and what its count of tokens reads."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from cluster.chat.messages import ChatRequest, FormatKind, Message, ResponseFormat, Role, Tool, ToolChoice, ToolMode
from cluster.http.faces.adapters import lora_of
from cluster.http.faces.face import Asked, Body, Problem, Served
from cluster.http.faces.fields import PLAIN_SAMPLING, Fields, sampling
from cluster.http.faces.messages.blocks import Conversation, system_text
from cluster.http.faces.messages.encoder import MessagesEncoder
from cluster.http.faces.messages.kinds import error_kind

DEFAULT_MAX_TOKENS = 4096  # the field is required, but counts of tokens never have it
SAMPLING = {**PLAIN_SAMPLING, "stop_sequences": "stop", "max_tokens": "max_tokens"}
MODES = {"auto": ToolMode.AUTO, "any": ToolMode.REQUIRED, "tool": ToolMode.REQUIRED, "none": ToolMode.NONE}
THINKING = {"enabled": True, "adaptive": True, "disabled": False}


class MessagesFace:
    """Translates requests.

    Args:
        new_id: a text that never comes twice.
    """

    def __init__(self, new_id: Callable[[], str] = lambda: secrets.token_hex(12)) -> None:
        self._new_id = new_id

    def parse(self, body: Body, served: Served, request_id: str) -> Asked:
        """UsageError for a wrong value. The answer goes on where a last message of the assistant's ends."""
        fields = Fields(body)
        fields.skip("model")
        conversation = Conversation()
        system = system_text(fields, conversation.ignored.append)
        conversation.add(fields.inners("messages"))
        if not conversation.messages:
            raise fields.wrong("messages", "there are none; give at least one")
        tools, without = _tools(fields)
        choice, is_parallel = _tool_choice(fields)
        before = (Message(Role.SYSTEM, system),) if system else ()
        last = conversation.messages[-1]
        goes_on = last.role is Role.ASSISTANT and not last.tool_calls
        request = ChatRequest(
            (*before, *conversation.messages),
            sampling(fields, SAMPLING, max_tokens=DEFAULT_MAX_TOKENS, lora=lora_of(fields)),
            tools,
            choice,
            is_parallel,
            _format(fields),
            _template_arguments(fields),
            add_generation_prompt=not goes_on,
            continue_final_message=goes_on,
        )
        encoder = MessagesEncoder(f"msg_{self._new_id()}", served.alias)
        return Asked(request, fields.flag("stream"), encoder, (*fields.unread(), *conversation.ignored, *without))

    def error(self, problem: Problem) -> Body:
        details = {"type": error_kind(problem.status), "message": problem.message, **(problem.more or {})}
        return {"type": "error", "error": details, "request_id": problem.request_id}


def _tools(fields: Fields) -> tuple[tuple[Tool, ...], list[str]]:
    """Tools of the client's own; those that the server would have to carry out are left out, and named."""
    tools: list[Tool] = []
    without: list[str] = []
    for tool in fields.inners("tools"):
        if tool.text("type", "custom") != "custom":
            without.append(tool.name_of("type"))
            continue
        name = tool.text("name")
        if not name:
            raise tool.wrong("name", "a tool has none; give it")
        schema = tool.mapping("input_schema") or {}
        tools.append(Tool(name, tool.text("description"), schema, tool.flag("strict")))
    return tuple(tools), without


def _tool_choice(fields: Fields) -> tuple[ToolChoice, bool]:
    """Which tools, and whether several at once."""
    given = fields.inner("tool_choice")
    if given is None:
        return ToolChoice(), True
    names: tuple[str, ...] = ()
    if given.text("type") == "tool":
        names = (given.text("name"),)
        if not names[0]:
            raise given.wrong("name", "it is missing; name the tool to use")
    mode = given.choice("type", MODES, ToolMode.AUTO)
    return ToolChoice(mode, names), not given.flag("disable_parallel_tool_use")


def _format(fields: Fields) -> ResponseFormat:
    config = fields.inner("output_config")
    given = config.inner("format") if config is not None else fields.inner("output_format")
    if given is None:
        return ResponseFormat()
    kind = given.choice("type", {"json_schema": FormatKind.JSON_SCHEMA}, FormatKind.JSON_SCHEMA)
    schema = given.mapping("schema")
    if schema is None:
        raise given.wrong("schema", "it is missing; give the JSON schema of the answer")
    return ResponseFormat(kind, schema)


def _template_arguments(fields: Fields) -> dict[str, Any]:
    """How long to think, by the names that templates have for it."""
    arguments: dict[str, Any] = {}
    thinking, config = fields.inner("thinking"), fields.inner("output_config")
    if thinking is not None and thinking.text("type"):
        arguments["enable_thinking"] = thinking.choice("type", THINKING, True)
    effort = config.text("effort") if config is not None else ""
    if effort:
        arguments["reasoning_effort"] = effort
    return arguments | dict(fields.mapping("chat_template_kwargs") or {})
