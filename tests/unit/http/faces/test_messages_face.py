"""Bodies of the Messages API: what becomes of each block, tool and setting."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.api.errors import UsageError
from cluster.chat.messages import ChatRequest, FormatKind, Message, Role, ToolCall, ToolChoice, ToolMode
from cluster.http.faces.face import Asked, Problem
from cluster.http.faces.messages.face import MessagesFace
from tests.unit.http.faces.kit import SERVED

HI = [{"role": "user", "content": "hi"}]


def asked(**body: Any) -> Asked:
    return MessagesFace().parse({"model": "claude-x", "messages": HI, **body}, SERVED, "req_1")


def request(**body: Any) -> ChatRequest:
    made = asked(**body).request
    assert isinstance(made, ChatRequest)
    return made


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


def test_the_block_that_only_bills_is_dropped() -> None:
    system = [text("x-anthropic-billing-header: cc_version=2; cch=1;"), text("You are brief."), text("Be kind.")]
    assert request(system=system).messages[0] == Message(Role.SYSTEM, "You are brief.\nBe kind.")
    assert request(system="You are brief.").messages[0] == Message(Role.SYSTEM, "You are brief.")
    assert request(system=system[:1]).messages == (Message(Role.USER, "hi"),)


def test_results_come_before_the_text_of_their_turn() -> None:
    turn = [
        {"role": "user", "content": "look"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                {"type": "redacted_thinking", "data": "zzz"},
                text("I look."),
                {"type": "tool_use", "id": "t1", "name": "read", "input": {"path": "a"}},
                {"type": "tool_use", "id": "t2", "name": "list", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                text("and be quick"),
                {"type": "tool_result", "tool_use_id": "t1", "content": "one"},
                {"type": "tool_result", "tool_use_id": "t2", "content": [text("two")], "is_error": True},
            ],
        },
        {"role": "system", "content": [text("Keep to the point.")]},
    ]
    calls = (ToolCall("t1", "read", '{"path":"a"}'), ToolCall("t2", "list", "{}"))
    assert request(messages=turn).messages == (
        Message(Role.USER, "look"),
        Message(Role.ASSISTANT, "I look.", "Hm.", calls),
        Message(Role.TOOL, "one", tool_call_id="t1", name="read"),
        Message(Role.TOOL, "Error: two", tool_call_id="t2", name="list"),
        Message(Role.USER, "and be quick"),
        Message(Role.SYSTEM, "Keep to the point."),
    )


def test_an_answer_that_was_begun_is_continued() -> None:
    begun = request(messages=[*HI, {"role": "assistant", "content": "Once"}])
    assert (begun.continue_final_message, begun.add_generation_prompt) == (True, False)
    called = [{"type": "tool_use", "id": "t", "name": "read", "input": {}}]
    assert not request(messages=[*HI, {"role": "assistant", "content": called}]).continue_final_message
    assert request().add_generation_prompt


def test_tools_of_the_server_are_left_out_and_named() -> None:
    own = {"name": "read", "description": "Reads.", "input_schema": {"type": "object"}, "cache_control": {}}
    made = asked(tools=[own, {"type": "web_search_20250305", "name": "web_search"}, {**own, "type": "custom"}])
    assert isinstance(made.request, ChatRequest)
    assert [(tool.name, tool.description, tool.parameters) for tool in made.request.tools] == [
        ("read", "Reads.", {"type": "object"})
    ] * 2
    assert made.ignored == ("tools[1].type",)


@pytest.mark.parametrize(
    ("given", "choice", "is_parallel"),
    [
        (None, ToolChoice(), True),
        ({"type": "auto"}, ToolChoice(), True),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice(ToolMode.REQUIRED), False),
        ({"type": "tool", "name": "read"}, ToolChoice(ToolMode.REQUIRED, ("read",)), True),
        ({"type": "none"}, ToolChoice(ToolMode.NONE), True),
    ],
)
def test_tool_choice(given: Any, choice: ToolChoice, is_parallel: bool) -> None:
    made = request(tools=[{"name": "read"}], tool_choice=given)
    assert (made.tool_choice, made.parallel_tool_calls) == (choice, is_parallel)


def test_thinking_effort_and_format() -> None:
    schema = {"type": "object"}
    made = request(
        thinking={"type": "adaptive"},
        output_config={"effort": "high", "format": {"type": "json_schema", "schema": schema}},
    )
    assert made.template_arguments == {"enable_thinking": True, "reasoning_effort": "high"}
    assert (made.response_format.kind, made.response_format.schema) == (FormatKind.JSON_SCHEMA, schema)
    assert request(thinking={"type": "disabled"}).template_arguments == {"enable_thinking": False}


def test_sampling_and_what_a_count_of_tokens_leaves_out() -> None:
    params = request(max_tokens=32000, stop_sequences=["END"], top_k=3, temperature=0.1).params
    assert (params.max_tokens, params.stop, params.top_k, params.temperature) == (32000, ("END",), 3, 0.1)
    assert request().params.max_tokens == 4096


def test_fields_without_meaning_here_are_named() -> None:
    made = asked(metadata={"user_id": "u"}, context_management={"edits": []}, betas=["x"], service_tier=None)
    assert made.ignored == ("metadata", "context_management", "betas")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"messages": []}, "messages: there are none"),
        ({"messages": "hi"}, "messages: is a string"),
        ({"messages": [{"content": "x"}]}, r"messages\[0\].role: it is missing"),
        ({"messages": [{"role": "tool", "content": "x"}]}, r"messages\[0\].role: 'tool' is not known"),
        ({"messages": [{"role": "user", "content": 3}]}, r"messages\[0\].content: is a number"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
            r"messages\[0\].content\[0\].source: only pictures in base64",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": [{"type": "document"}]}]}]},
            r"messages\[0\].content\[0\].content\[0\].type: document cannot be read",
        ),
        ({"system": 3}, "system: is a number"),
        ({"max_tokens": "many"}, "max_tokens: 'many' is not a whole number"),
        ({"stop_sequences": [1]}, "stop_sequences: "),
        ({"tools": [{}]}, r"tools\[0\].name: a tool has none"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name: it is missing"),
        ({"tool_choice": "any"}, "tool_choice: is a string"),
        ({"thinking": {"type": "deep"}}, "thinking.type: 'deep' is not known"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema: it is missing"),
    ],
)
def test_a_wrong_value_is_refused_by_its_path(body: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        asked(**body)


def test_a_block_of_a_type_that_is_not_known_is_named_and_its_text_kept() -> None:
    made = asked(messages=[{"role": "user", "content": [{"type": "search_result", "text": "found"}, text("go")]}])
    assert isinstance(made.request, ChatRequest)
    assert made.request.messages == (Message(Role.USER, "found\ngo"),)
    assert made.ignored == ("messages[0].content[0].type",)


def test_errors_have_this_apis_names() -> None:
    more = {"n_prompt_tokens": 9, "n_ctx": 8}
    body = MessagesFace().error(Problem(400, "exceed_context_size_error", "too long", more=more, request_id="req_1"))
    assert body == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "too long", **more},
        "request_id": "req_1",
    }
    kinds = {401: "authentication_error", 404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error"}
    for status, kind in {**kinds, 500: "api_error", 503: "overloaded_error", 418: "invalid_request_error"}.items():
        assert MessagesFace().error(Problem(status, "x", "m"))["error"]["type"] == kind
