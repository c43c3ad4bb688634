"""OpenAI's shape of messages, tools and formats is read, and each error names the place."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.api.errors import UsageError
from cluster.chat.messages import FormatKind, Message, Role, Tool, ToolCall, ToolChoice, ToolMode
from cluster.chat.openai_shape import (
    MAX_TOOLS,
    messages_of,
    response_format_of,
    tool_choice_of,
    tools_of,
)

TOOLS = [
    {"type": "function", "function": {"name": "add", "description": "a + b", "parameters": {"type": "object"}}},
    {"type": "function", "function": {"name": "now", "strict": True}},
]


def test_messages_of_every_role() -> None:
    assert messages_of(
        [
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "input_text", "text": "b"}]},
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "hm",
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "2"},
            {"role": "assistant", "function_call": {"name": "now", "arguments": {}}},
            {"role": "function", "name": "now", "content": "noon"},
            Message(Role.USER, "bye"),
        ]
    ) == (
        Message(Role.SYSTEM, "be brief"),
        Message(Role.USER, "a\nb"),
        Message(Role.ASSISTANT, "", "hm", (ToolCall("c1", "add", '{"a":1}'),)),
        Message(Role.TOOL, "2", tool_call_id="c1"),
        Message(Role.ASSISTANT, tool_calls=(ToolCall("", "now", "{}"),)),
        Message(Role.TOOL, "noon", name="now"),
        Message(Role.USER, "bye"),
    )


@pytest.mark.parametrize(
    ("messages", "place"),
    [
        ("hello", "messages: "),
        ([], "messages: "),
        (None, "messages: nothing"),
        (["hello"], "messages[0]: "),
        ([{"content": "x"}], "messages[0].role: "),
        ([{"role": 5}], "messages[0].role: "),
        ([{"role": "robot", "content": "x"}], "messages[0].role: "),
        ([{"role": "user", "content": 5}], "messages[0].content: "),
        ([{"role": "user", "content": {"a": 1}}], "messages[0].content: "),
        ([{"role": "user", "content": ["x"]}], "messages[0].content[0]: "),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "messages[0].content[0].image_url: nothing"),
        (
            [{"role": "user", "content": [{"type": "input_audio"}]}],
            "messages[0].content[0].type: 'input_audio' is neither",
        ),
        ([{"role": "user", "content": [{"type": ["text"]}]}], "messages[0].content[0].type: "),
        ([{"role": "user", "content": [{"type": "text", "text": 1}]}], "messages[0].content[0].text: "),
        ([{"role": "assistant", "tool_calls": {}}], "messages[0].tool_calls: "),
        ([{"role": "assistant", "tool_calls": [{}]}], "messages[0].tool_calls[0].function: "),
        (
            [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": 3}}]}],
            "messages[0].tool_calls[0].function.arguments: ",
        ),
        ([{"role": "tool", "tool_call_id": 3}], "messages[0].tool_call_id: "),
        ([{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}], "messages: the last two"),
        ([{"role": "user", "content": "x"}] * 1025, "messages: there are 1025"),
    ],
)
def test_what_is_wrong_with_messages_is_named(messages: Any, place: str) -> None:
    with pytest.raises(UsageError) as raised:
        messages_of(messages)
    assert str(raised.value).startswith(place)
    assert len(str(raised.value)) < 300


def test_tools() -> None:
    assert tools_of(None) == ()
    assert tools_of(TOOLS) == (Tool("add", "a + b", {"type": "object"}), Tool("now", strict=True))
    assert tools_of([Tool("x")]) == (Tool("x"),)


def _deep(levels: int) -> Any:
    return {"a": _deep(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    ("tools", "place"),
    [
        ({}, "tools: "),
        ([{"type": "web_search"}], "tools[0].type: "),
        ([{"type": "function"}], "tools[0].function: "),
        ([{"function": {"name": "a b"}}], "tools[0].function.name: "),
        ([{"function": {"name": "a"}}] * 2, "tools[1].function.name: "),
        ([{"function": {"name": "a", "parameters": []}}], "tools[0].function.parameters: "),
        ([{"function": {"name": "a", "parameters": _deep(65)}}], "tools[0].function.parameters: it is nested"),
        ([{"function": {"name": "a", "parameters": {"x": "y" * 2**18}}}], "tools[0].function.parameters: it has more"),
        ([{"function": {"name": f"a{i}"}} for i in range(MAX_TOOLS + 1)], "tools: there are 513"),
        ([Tool("a b")], "tools[0].function.name: "),
    ],
)
def test_what_is_wrong_with_tools_is_named(tools: Any, place: str) -> None:
    with pytest.raises(UsageError) as raised:
        tools_of(tools)
    assert str(raised.value).startswith(place)


def test_tool_choice() -> None:
    tools = tools_of(TOOLS)
    assert tool_choice_of(None, tools) == ToolChoice()
    assert tool_choice_of("required", tools) == ToolChoice(ToolMode.REQUIRED)
    named = {"type": "function", "function": {"name": "now"}}
    assert tool_choice_of(named, tools) == ToolChoice(ToolMode.REQUIRED, ("now",))
    assert tool_choice_of({"type": "function", "name": "now"}, tools) == ToolChoice(ToolMode.REQUIRED, ("now",))
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [named]}}
    assert tool_choice_of(allowed, tools) == ToolChoice(ToolMode.AUTO, ("now",))
    assert tool_choice_of(ToolChoice(ToolMode.NONE), ()) == ToolChoice(ToolMode.NONE)
    for wrong in ("perhaps", 5, {"type": "function", "function": {"name": "other"}}, {"type": "function"}):
        with pytest.raises(UsageError, match=r"^tool_choice"):
            tool_choice_of(wrong, tools)
    with pytest.raises(UsageError, match="there are no tools"):
        tool_choice_of("required", ())


def test_response_format() -> None:
    schema = {"type": "object"}
    assert response_format_of(None).kind is FormatKind.TEXT
    assert response_format_of({"type": "text"}).kind is FormatKind.TEXT
    assert response_format_of({"type": "json_object"}).kind is FormatKind.JSON_OBJECT
    asked = response_format_of({"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}})
    assert (asked.kind, asked.schema, asked.name, asked.strict) == (FormatKind.JSON_SCHEMA, schema, "n", True)
    assert response_format_of({"type": "json_object", "schema": schema}).schema == schema
    for wrong in ({"type": "yaml"}, "json", {"type": "json_schema"}, {"type": "json_schema", "json_schema": {}}, {}):
        with pytest.raises(UsageError, match=r"^response_format"):
            response_format_of(wrong)
