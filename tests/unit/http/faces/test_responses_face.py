"""Bodies of the Responses API: what becomes of each item, tool and format."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.api.errors import UsageError
from cluster.chat.messages import ChatRequest, FormatKind, Message, Role, ToolCall, ToolChoice, ToolMode
from cluster.http.faces.face import Asked
from cluster.http.faces.problems import NotFoundError, problem_of
from cluster.http.faces.responses.face import ResponsesFace
from cluster.http.faces.responses.store import ResponseStore
from tests.unit.http.faces.kit import SERVED


def asked(**body: Any) -> Asked:
    return ResponsesFace(ResponseStore()).parse({"model": "gpt-x", "input": "hi", **body}, SERVED, "req_1")


def request(**body: Any) -> ChatRequest:
    made = asked(**body).request
    assert isinstance(made, ChatRequest)
    return made


def function(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "name": name, "parameters": {"type": "object"}, "strict": False, **more}


def test_a_text_is_a_message_of_the_user_and_instructions_come_first() -> None:
    assert request(instructions="Be brief.").messages == (Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "hi"))


def test_the_items_of_one_turn_are_one_message() -> None:
    items = [
        {"type": "message", "id": "m1", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
        {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
        {"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {"type": "function_call", "call_id": "c1", "name": "read", "arguments": '{"a":1}', "namespace": "files"},
        {"type": "function_call", "call_id": "c2", "name": "list", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "two"}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Now I know."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "user", "content": "thanks"},
    ]
    calls = (ToolCall("c1", "files__read", '{"a":1}'), ToolCall("c2", "list", "{}"))
    assert request(input=items).messages == (
        Message(Role.SYSTEM, "Be brief."),
        Message(Role.USER, "a\nb"),
        Message(Role.ASSISTANT, "I look.", "Hm.", calls),
        Message(Role.TOOL, "one", tool_call_id="c1", name="files__read"),
        Message(Role.TOOL, "two", tool_call_id="c2", name="list"),
        Message(Role.ASSISTANT, "No.", "Now I know."),
        Message(Role.USER, "thanks"),
    )


def test_a_second_thought_begins_a_turn_of_its_own() -> None:
    items = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "c"}]},
        {"role": "assistant", "content": "d"},
    ]
    assert [(message.content, message.reasoning) for message in request(input=items).messages] == [
        ("a", ""),
        ("b", ""),
        ("d", "c"),
    ]


def test_items_that_mean_nothing_to_a_model_are_named_and_their_text_is_kept() -> None:
    made = asked(input=[{"role": "user", "content": "a"}, {"type": "web_search_call", "id": "w"}, {"type": "x_y"}])
    assert made.ignored == ("input[1].type", "input[2].type")
    made = asked(input=[{"role": "user", "content": "a"}, {"type": "custom_tool_call", "input": "ls"}])
    assert isinstance(made.request, ChatRequest)
    assert made.request.messages[1] == Message(Role.ASSISTANT, "ls")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"input": None}, "input: there is none"),
        ({"input": 3}, "input: is a number"),
        ({"input": [3]}, r"input\[0\]: is a number"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
            r"input\[0\].content\[0\].type: input_file",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
            r"input\[0\].content\[0\].image_url: '' is no data URL",
        ),
        ({"input": [{"content": "x"}]}, r"input\[0\].role: it is missing"),
        ({"input": [{"role": "wizard", "content": "x"}]}, r"input\[0\].role: 'wizard' is not known"),
        ({"input": [{"role": "user", "content": 5}]}, r"input\[0\].content: is a number"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, r"input\[0\].id: no item with this id"),
        ({"background": True}, "background: "),
        ({"conversation": "conv_1"}, "conversation: "),
        ({"temperature": "hot"}, "temperature: "),
        ({"max_output_tokens": 1.5}, "max_output_tokens: "),
        ({"top_logprobs": 21}, "top_logprobs: "),
        ({"tools": [{"type": "function"}]}, r"tools\[0\].name: "),
        ({"tools": [function("a"), function("a")]}, "tools: 2 functions are named 'a'"),
        ({"tool_choice": "maybe"}, "tool_choice: 'maybe' is not known"),
        ({"tool_choice": {"type": "mcp"}}, "tool_choice.type: 'mcp' cannot be forced"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type: 'xml' is not known"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema: it is missing"),
    ],
)
def test_a_wrong_value_is_refused_by_its_path(body: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        asked(**body)


def test_namespaces_are_flattened_and_tools_of_the_server_left_out() -> None:
    namespace = {"type": "namespace", "name": "ns", "tools": [function("a"), function("b", description="B")]}
    made = asked(tools=[function("a", strict=True), namespace, {"type": "web_search"}, {"type": "custom", "name": "p"}])
    assert isinstance(made.request, ChatRequest)
    assert [(tool.name, tool.strict) for tool in made.request.tools] == [
        ("a", True),
        ("ns__a", False),
        ("ns__b", False),
    ]
    assert made.ignored == ("tools[2].type", "tools[3].type")


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        (None, ToolChoice()),
        ("auto", ToolChoice()),
        ("none", ToolChoice(ToolMode.NONE)),
        ("required", ToolChoice(ToolMode.REQUIRED)),
        ({"type": "function", "name": "a"}, ToolChoice(ToolMode.REQUIRED, ("a",))),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "a"}, {"type": "mcp"}]},
            ToolChoice(ToolMode.AUTO, ("a",)),
        ),
    ],
)
def test_tool_choice(given: Any, choice: ToolChoice) -> None:
    assert request(tools=[function("a")], tool_choice=given).tool_choice == choice


def test_formats_effort_and_sampling() -> None:
    schema = {"type": "object", "properties": {}}
    made = request(
        text={"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}},
        reasoning={"effort": "low", "summary": "auto"},
        max_output_tokens=7,
        top_p=0.5,
        seed=3,
    )
    form = made.response_format
    assert (form.kind, form.schema, form.name, form.strict) == (FormatKind.JSON_SCHEMA, schema, "n", True)
    assert made.template_arguments == {"reasoning_effort": "low"}
    assert (made.params.max_tokens, made.params.top_p, made.params.seed) == (7, 0.5, 3)
    assert request().params.max_tokens is None
    assert request(reasoning={"effort": "none"}).template_arguments == {"enable_thinking": False}


def test_fields_without_meaning_here_are_named() -> None:
    made = asked(prompt_cache_key="k", client_metadata={"a": 1}, include=["reasoning.encrypted_content"], user=None)
    assert made.ignored == ("prompt_cache_key", "client_metadata")


def test_a_response_that_is_not_stored_is_not_found() -> None:
    with pytest.raises(NotFoundError) as refusal:
        asked(previous_response_id="resp_0")
    problem = problem_of(refusal.value)
    assert (problem.status, problem.code, problem.param) == (
        404,
        "previous_response_not_found",
        "previous_response_id",
    )
