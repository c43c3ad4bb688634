"""Bodies of chat completions: what is taken, and what is refused by its name."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.api.errors import UsageError
from cluster.chat.messages import ChatRequest, FormatKind, Message, Role, ToolMode
from cluster.http.faces.chat import ChatCompletions
from cluster.http.faces.face import Asked
from tests.unit.http.faces.kit import SERVED

HELLO = [{"role": "user", "content": "hi"}]
TOOLS = [{"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}]


def asked(**body: Any) -> Asked:
    return ChatCompletions().parse({"messages": HELLO, **body}, SERVED, "1")


def request_of(**body: Any) -> ChatRequest:
    found = asked(**body).request
    assert isinstance(found, ChatRequest)
    return found


def test_parameters_have_openais_and_llama_servers_names() -> None:
    params = request_of(
        temperature=0.5, top_k=7, min_p=0.1, repetition_penalty=1.1, presence_penalty=1, seed=3, stop="x", max_tokens=9
    ).params
    assert (params.temperature, params.top_k, params.min_p, params.repeat_penalty) == (0.5, 7, 0.1, 1.1)
    assert (params.presence_penalty, params.seed, params.stop, params.max_tokens) == (1.0, 3, ("x",), 9)
    assert request_of(max_tokens=9, max_completion_tokens=5).params.max_tokens == 5
    assert request_of().params.max_tokens is None
    assert request_of(temperature=None, stop=None).params == request_of().params
    assert request_of(logit_bias={"5": -100}).params.logit_bias == ((5, -100.0),)
    assert request_of(logit_bias=[[5, False]]).params.logit_bias == ((5, float("-inf")),)
    assert request_of(logprobs=True, top_logprobs=4).params.logprobs == 4


def test_messages_and_tools() -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    ]
    request = request_of(messages=messages, tools=TOOLS, tool_choice="required", parallel_tool_calls=False)
    assert request.messages == (Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "a\nb"))
    assert [tool.name for tool in request.tools] == ["read"]
    assert request.tool_choice.mode is ToolMode.REQUIRED
    assert not request.parallel_tool_calls
    old = request_of(functions=[{"name": "read"}], function_call={"name": "read"})
    assert [tool.name for tool in old.tools] == ["read"]
    assert old.tool_choice.names == ("read",)


def test_what_the_answer_must_look_like() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert request_of(response_format={"type": "json_object"}).response_format.kind is FormatKind.JSON_OBJECT
    found = request_of(json_schema=schema).response_format
    assert (found.kind, found.schema) == (FormatKind.JSON_SCHEMA, schema)
    assert request_of(grammar='root ::= "a"').response_format.kind is FormatKind.GRAMMAR


def test_templates_are_told_what_they_may_know() -> None:
    arguments = request_of(reasoning_effort="low", enable_thinking=False, chat_template_kwargs={"a": 1})
    assert arguments.template_arguments == {"a": 1, "reasoning_effort": "low", "enable_thinking": False}
    prefill = [*HELLO, {"role": "assistant", "content": "Once"}]
    continued = request_of(messages=prefill, continue_final_message=True)
    assert (continued.continue_final_message, continued.add_generation_prompt) == (True, False)


def test_fields_that_mean_nothing_here_are_counted() -> None:
    found = asked(user="me", store=True, model="gpt-9", no_such={"a": 1}, nothing=None, temperature=1)
    assert found.ignored == ("user", "store", "no_such")


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("messages", {"messages": None}),
        ("messages", {"messages": "hi"}),
        ("messages", {"messages": []}),
        ("messages[0]", {"messages": ["hi"]}),
        ("messages[0].role", {"messages": [{"role": 5, "content": "a"}]}),
        ("messages[0].role", {"messages": [{"role": "king", "content": "a"}]}),
        ("messages[0].content", {"messages": [{"role": "user", "content": 5}]}),
        (
            "messages[0].content[0].image_url.url",
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        ),
        (
            "messages",
            {"messages": [*HELLO, {"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}]},
        ),
        ("n", {"n": 3}),
        ("n", {"n": 10**9}),
        ("n", {"n": "two"}),
        ("top_logprobs", {"top_logprobs": 4}),
        ("top_logprobs", {"logprobs": True, "top_logprobs": 21}),
        ("logprobs", {"logprobs": 5}),
        ("response_format.type", {"response_format": {"type": "poem"}}),
        ("grammar", {"grammar": 'root ::= "a"', "tools": TOOLS}),
        ("grammar", {"grammar": 'root ::= "a"', "response_format": {"type": "json_object"}}),
        ("continue_final_message", {"continue_final_message": True, "add_generation_prompt": True}),
        ("chat_template", {"chat_template": "{{ messages }}"}),
        ("tools", {"tools": "read"}),
        ("tool_choice", {"tool_choice": "required"}),
        ("max_completion_tokens", {"max_completion_tokens": -5}),
        ("max_tokens", {"max_tokens": 10**12}),
        ("temperature", {"temperature": float("nan")}),
        ("stop", {"stop": ["x"] * 10_000}),
        ("stream", {"stream": 1}),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(field: str, body: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        asked(**body)
    assert str(caught.value).startswith(f"{field}:")
