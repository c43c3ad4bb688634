"""All that a template is given for one request, as JSON values."""

from __future__ import annotations

import hashlib
import json
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cluster.api.errors import UsageError
from cluster.chat.messages import PICTURE, ChatRequest, FormatKind, Message, ResponseFormat, Role, Tool
from cluster.chat.templates.traits import CallIds, TemplateTraits

# What becomes of each text that is not the template's: names of control tokens in it are marked.
Marked = Callable[[str], str]

# What a request's own arguments for the template may not be.
RESERVED = frozenset({"messages", "tools", "bos_token", "eos_token", "add_generation_prompt", "continue_final_message"})
# Words that templates look for in schemas, and no names of anything.
_WORDS_OF_SCHEMAS = frozenset(
    (
        *("type", "properties", "required", "items", "enum", "description", "title", "default", "format", "const"),
        *("anyOf", "oneOf", "allOf", "additionalProperties", "minimum", "maximum"),
        *("object", "array", "string", "number", "integer", "boolean", "null"),
    )
)
_ALPHABET = string.ascii_letters + string.digits


def variables_of(
    request: ChatRequest,
    messages: Sequence[Message],
    traits: TemplateTraits,
    special: Mapping[str, str],
    marked: Marked,
) -> dict[str, Any]:
    """`messages`: those of the request, fitted. `special`: bos_token and eos_token. UsageError names what cannot be."""
    arguments = request.template_arguments
    for name in arguments:
        if name in RESERVED:
            raise UsageError(f"chat_template_kwargs: {name} is not for it; give it as a field of the request")
    values: dict[str, Any] = {
        "messages": _messages(messages, traits, marked),
        **special,
        "add_generation_prompt": request.add_generation_prompt and not request.continue_final_message,
    }
    if traits.takes_tools and request.tools:
        values["tools"] = [_tool(tool, marked) for tool in request.tools]
    if traits.takes_response_format and (shape := _format(request.response_format)) is not None:
        values["response_format"] = deep_marked(shape, marked)
    return {**deep_marked(arguments, marked), **values}


def deep_marked(value: Any, marked: Marked) -> Any:
    """A copy with all texts marked, names of fields among them."""
    if isinstance(value, str):
        return value if value in _WORDS_OF_SCHEMAS else marked(value)
    if isinstance(value, Mapping):
        return {deep_marked(str(key), marked): deep_marked(item, marked) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [deep_marked(item, marked) for item in value]
    if value is not None and not isinstance(value, bool | int | float):
        raise UsageError(f"request: a value of type {type(value).__name__} has no form in JSON; give JSON values")
    return value


def end_with(message: dict[str, Any], end: str) -> None:
    """Put `end` behind the content of a message that was shaped."""
    content = message["content"]
    if isinstance(content, list):
        content[-1]["text"] += end
    else:
        message["content"] = (content or "") + end


def _messages(messages: Sequence[Message], traits: TemplateTraits, marked: Marked) -> list[dict[str, Any]]:
    ids: dict[str, str] = {}  # as the template takes them, by the client's
    names: dict[str, str] = {}  # of called tools, by the client's ids
    num_calls = 0
    shaped: list[dict[str, Any]] = []
    for message in messages:
        for call in message.tool_calls:
            ids[call.id] = call_id(call.id, call.name, num_calls, traits.call_ids)
            names[call.id] = call.name
            num_calls += 1
        shaped.append(_message(message, ids, names, traits, marked))
    return shaped


def _message(
    message: Message, ids: Mapping[str, str], names: Mapping[str, str], traits: TemplateTraits, marked: Marked
) -> dict[str, Any]:
    content, reasoning = message.content, message.reasoning
    if traits.reasoning_key == "thinking" and reasoning and message.tool_calls and content:
        # Such templates take one of both before a call.
        content, reasoning = "", f"{reasoning}\n\n{content}"
    # Between two texts, one on each side of a picture, the prompt is cut.
    text = PICTURE.join(map(marked, content.split(PICTURE))) if message.pictures else marked(content)
    shaped: dict[str, Any] = {"role": str(message.role), "content": text}
    if traits.content_in_parts:
        shaped["content"] = [{"type": "text", "text": text}]
    if message.tool_calls:
        if not content and traits.null_content:
            shaped["content"] = None
        shaped["tool_calls"] = [
            {
                "id": marked(ids[call.id]),
                "type": "function",
                "function": {"name": marked(call.name), "arguments": _arguments(call.arguments, traits, marked)},
            }
            for call in message.tool_calls
        ]
    if reasoning:
        shaped[traits.reasoning_key or "reasoning_content"] = marked(reasoning)
    if message.role is Role.TOOL:
        name = message.name or names.get(message.tool_call_id, "")
        shaped["tool_call_id"] = marked(ids.get(message.tool_call_id, message.tool_call_id))
        if name:
            shaped["name"] = marked(name)
    return shaped


def call_id(given: str, name: str, index: int, form: CallIds) -> str:
    """The id of a call in the form that a template takes; the same for the same id."""
    if form is CallIds.NAMED:
        return f"functions.{name}:{index}"
    if form is CallIds.NINE and not (len(given) == 9 and given.isascii() and given.isalnum()):
        digest = hashlib.sha256(given.encode(errors="replace")).digest()
        return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:9])
    return given


def _arguments(text: str, traits: TemplateTraits, marked: Marked) -> Any:
    """An object or its JSON text. What the model wrote wrongly stands as a text in an object."""
    if traits.arguments_as_text:
        return marked(text.strip() or "{}")
    try:
        found = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        found = text
    return deep_marked(found if isinstance(found, dict) else {"arguments": found}, marked)


def _tool(tool: Tool, marked: Marked) -> dict[str, Any]:
    function = {
        "name": marked(tool.name),
        "description": marked(tool.description),
        "parameters": deep_marked(tool.parameters or {"type": "object", "properties": {}}, marked),
    }
    return {"type": "function", "function": function}


def _format(asked: ResponseFormat) -> dict[str, Any] | None:
    if asked.kind is FormatKind.JSON_OBJECT:
        return {"type": "json_object"}
    if asked.kind is FormatKind.JSON_SCHEMA:
        return {"type": "json_schema", "json_schema": {"name": asked.name, "schema": asked.schema}}
    return None
