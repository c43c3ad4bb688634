"""Messages, tools and what is wanted of an answer, in the shape that OpenAI's API gave them and everybody knows.

What is wrong is a UsageError whose message begins with the place, such as ``messages[2].content``. Fields that are not
known are passed over: clients send many.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from cluster.api.errors import UsageError
from cluster.api.schema_depth import check_depth
from cluster.chat.messages import (
    FormatKind,
    JsonObject,
    Message,
    ResponseFormat,
    Role,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
)
from cluster.chat.pictures import Picture, joined_parts, picture_of_program, picture_of_url

MAX_MESSAGES = 1024
MAX_TOOLS = 512
MAX_CALLS = 256  # of a message
MAX_SCHEMA_BYTES = 256 * 1024
NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
ROLES = {role.value: role for role in Role} | {"developer": Role.SYSTEM, "function": Role.TOOL}
TEXT_PARTS = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "refusal": "refusal",
}  # where each has its text

Item = TypeVar("Item")


def messages_of(value: Any, field: str = "messages") -> tuple[Message, ...]:
    """A list of dicts, or of Messages; at least one."""
    items = _list(value, field, MAX_MESSAGES)
    if not items:
        raise UsageError(f"{field}: there are none; give at least one")
    messages = tuple(_each(items, field, Message, message_of))
    if len(messages) > 1 and messages[-1].role is messages[-2].role is Role.ASSISTANT:
        raise UsageError(f"{field}: the last two are both an assistant's; give one that the answer may go on from")
    return messages


def message_of(value: Any, field: str) -> Message:
    item = _object(value, field)
    name = _text(item.get("role"), f"{field}.role")
    if name not in ROLES:
        raise UsageError(f"{field}.role: there is no {name[:40]!r}; give one of {', '.join(ROLES)}")
    role = ROLES[name]
    content, pictures = content_of(item.get("content"), f"{field}.content")
    if pictures and role is not Role.USER:
        raise UsageError(f"{field}.content: a picture in a message of {role}; only those of users can have some")
    if role is Role.ASSISTANT:
        return Message(role, content, _reasoning(item, field), _calls(item, field))
    if role is Role.TOOL:
        return Message(
            role,
            content,
            tool_call_id=_text(item.get("tool_call_id") or "", f"{field}.tool_call_id"),
            name=_text(item.get("name") or "", f"{field}.name"),
        )
    return Message(role, content, pictures=pictures)


def content_of(content: Any, field: str) -> tuple[str, tuple[Picture, ...]]:
    """A text, none, or parts, as `joined_parts` gives them."""
    if content is None or isinstance(content, str):
        return joined_parts([content or ""])
    if not isinstance(content, Sequence):
        raise UsageError(f"{field}: {_kind(content)} is no text; give a string or a list of parts")
    return joined_parts([_part(part, f"{field}[{place}]") for place, part in enumerate(content)])


def tools_of(value: Any, field: str = "tools") -> tuple[Tool, ...]:
    """A list of dicts ``{"type": "function", "function": {...}}``, or of Tools; None is none."""
    if value is None:
        return ()
    tools = tuple(_each(_list(value, field, MAX_TOOLS), field, Tool, _tool))
    seen: set[str] = set()
    for place, tool in enumerate(tools):
        if not NAME.fullmatch(tool.name):
            raise UsageError(
                f"{field}[{place}].function.name: {tool.name[:60]!r} is none; give 1 to 128 of A-Z a-z 0-9 _ . -"
            )
        if tool.name in seen:
            raise UsageError(f"{field}[{place}].function.name: {tool.name!r} is there twice; give each its own")
        seen.add(tool.name)
    return tools


def function_of(value: Any, field: str) -> Tool:
    """What is under "function" of a tool, and an item of the old list of functions."""
    item = _object(value, field)
    parameters = item.get("parameters")
    return Tool(
        _text(item.get("name"), f"{field}.name"),
        _text(item.get("description") or "", f"{field}.description"),
        {} if parameters is None else schema_of(parameters, f"{field}.parameters"),
        bool(item.get("strict")),
    )


def schema_of(value: Any, field: str) -> JsonObject:
    """A JSON schema of bounded depth and size; what it means is not looked at."""
    schema = _object(value, field)
    check_depth(schema, field)
    if len(json.dumps(schema, default=str)) > MAX_SCHEMA_BYTES:
        raise UsageError(f"{field}: it has more than {MAX_SCHEMA_BYTES} bytes; give a smaller schema")
    return schema


def tool_choice_of(value: Any, tools: Sequence[Tool], field: str = "tool_choice") -> ToolChoice:
    """A mode, the one function to call, or a mode with those that are allowed. None is auto."""
    choice = value if isinstance(value, ToolChoice) else _choice(value, field)
    for name in choice.names:
        if all(tool.name != name for tool in tools):
            raise UsageError(f"{field}: there is no tool {name[:60]!r}; give one of those in tools")
    if choice.mode is ToolMode.REQUIRED and not tools:
        raise UsageError(f"{field}: a call is required, but there are no tools; give tools, or leave it out")
    return choice


def response_format_of(value: Any, field: str = "response_format") -> ResponseFormat:
    """``{"type": "text" | "json_object" | "json_schema", ...}``, or a ResponseFormat. None is text.

    A schema is looked for under "json_schema", and beside "type", where llama-server takes it.
    """
    if value is None or isinstance(value, ResponseFormat):
        return value or ResponseFormat()
    item = _object(value, field)
    kind = _text(item.get("type"), f"{field}.type")
    if kind == "text":
        return ResponseFormat()
    if kind not in ("json_object", "json_schema"):
        raise UsageError(f"{field}.type: there is no {kind[:40]!r}; give text, json_object or json_schema")
    if kind == "json_object" and item.get("schema") is None:
        return ResponseFormat(FormatKind.JSON_OBJECT)
    inner = item.get("json_schema", item)
    place = f"{field}.json_schema" if "json_schema" in item else field
    inner = _object(inner, place)
    schema = schema_of(inner.get("schema"), f"{place}.schema")
    name = _text(inner.get("name") or "", f"{place}.name")
    return ResponseFormat(FormatKind.JSON_SCHEMA, schema, name, bool(inner.get("strict")))


def _tool(value: Any, field: str) -> Tool:
    item = _object(value, field)
    kind = item.get("type", "function")
    if kind != "function":
        raise UsageError(f"{field}.type: {str(kind)[:40]!r} is no function; give tools of type function")
    return function_of(item.get("function"), f"{field}.function")


def _choice(value: Any, field: str) -> ToolChoice:
    if value is None:
        return ToolChoice()
    if isinstance(value, str):
        return ToolChoice(_mode(value, field))
    item = _object(value, field)
    if item.get("type") == "allowed_tools":
        allowed = _object(item.get("allowed_tools", item), f"{field}.allowed_tools")
        items = _list(allowed.get("tools"), f"{field}.allowed_tools.tools", MAX_TOOLS)
        names = tuple(_named(tool, f"{field}.allowed_tools.tools[{place}]") for place, tool in enumerate(items))
        mode = _mode(_text(allowed.get("mode", "auto"), f"{field}.allowed_tools.mode"), f"{field}.allowed_tools.mode")
        return ToolChoice(mode, names) if names else ToolChoice(ToolMode.NONE)
    return ToolChoice(ToolMode.REQUIRED, (_named(item, field),))


def _mode(value: str, field: str) -> ToolMode:
    if value not in tuple(ToolMode):
        raise UsageError(f"{field}: there is no {value[:40]!r}; give auto, none, required, or a function by its name")
    return ToolMode(value)


def _named(value: Any, field: str) -> str:
    item = _object(value, field)
    return _text(_object(item.get("function", item), f"{field}.function").get("name"), f"{field}.function.name")


def _reasoning(item: JsonObject, field: str) -> str:
    name = "reasoning_content" if item.get("reasoning_content") is not None else "reasoning"
    return _text(item.get(name) or "", f"{field}.{name}")


def _calls(item: JsonObject, field: str) -> tuple[ToolCall, ...]:
    if item.get("function_call") is not None:
        return (_function(item["function_call"], f"{field}.function_call", ""),)
    values = item.get("tool_calls")
    if values is None:
        return ()
    return tuple(_each(_list(values, f"{field}.tool_calls", MAX_CALLS), f"{field}.tool_calls", ToolCall, _call))


def _call(value: Any, field: str) -> ToolCall:
    item = _object(value, field)
    return _function(item.get("function"), f"{field}.function", _text(item.get("id") or "", f"{field}.id"))


def _function(value: Any, field: str, call_id: str) -> ToolCall:
    item = _object(value, field)
    arguments = item.get("arguments")
    if isinstance(arguments, Mapping):
        check_depth(arguments, f"{field}.arguments")
        arguments = json.dumps(arguments, ensure_ascii=False)
    return ToolCall(
        call_id, _text(item.get("name"), f"{field}.name"), _text(arguments or "", f"{field}.arguments") or "{}"
    )


def _part(value: Any, field: str) -> str | Picture:
    """A text, or a picture."""
    item = _object(value, field)
    kind = item.get("type")
    if kind in ("image_url", "input_image"):
        url = item.get("image_url")
        place = f"{field}.image_url"
        if isinstance(url, Mapping):
            url, place = url.get("url"), f"{place}.url"
        return picture_of_url(_text(url, place), place)
    if kind == "image":
        return picture_of_program(item.get("image"), f"{field}.image")
    name = TEXT_PARTS.get(kind) if isinstance(kind, str) else None
    if name is None:
        raise UsageError(f"{field}.type: {str(kind)[:40]!r} is neither a text nor a picture; give parts of these kinds")
    return _text(item.get(name), f"{field}.{name}")


def _each(items: Iterable[Any], field: str, kind: type[Item], read: Callable[[Any, str], Item]) -> Iterable[Item]:
    for place, item in enumerate(items):
        yield item if isinstance(item, kind) else read(item, f"{field}[{place}]")


def _list(value: Any, field: str, most: int) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise UsageError(f"{field}: {_kind(value)} is no list; give a list")
    if len(value) > most:
        raise UsageError(f"{field}: there are {len(value)}; give at most {most}")
    return value


def _object(value: Any, field: str) -> JsonObject:
    if not isinstance(value, Mapping):
        raise UsageError(f"{field}: {_kind(value)} is no object; give an object")
    return value


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{field}: {_kind(value)} is no string; give a string")
    return value


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"
