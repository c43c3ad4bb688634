"""Chats over real stages, as openai-python asks for them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from tests.http.serving import Served

pytestmark = pytest.mark.native
conformance = pytest.mark.conformance
HELLO: Any = [{"role": "user", "content": "Tell me a story."}]


@pytest.fixture
def client(served: Served) -> OpenAI:
    return OpenAI(api_key="none", base_url=f"{served.url}/v1", max_retries=0)


def test_whole_and_streamed_are_the_same(client: OpenAI) -> None:
    asked: Any = {"model": "any", "messages": HELLO, "temperature": 0, "max_tokens": 16}
    whole = client.chat.completions.create(**asked)
    assert whole.choices[0].message.role == "assistant"
    assert whole.choices[0].message.content
    assert whole.choices[0].finish_reason == "length"
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 16
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 16
    assert chunks[-1].usage.prompt_tokens == whole.usage.prompt_tokens


def test_choices_differ_by_their_seeds(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="any", messages=HELLO, n=3, seed=1, temperature=1.5, max_tokens=8)
    assert len({choice.message.content for choice in answer.choices}) > 1
    assert [choice.index for choice in answer.choices] == [0, 1, 2]


def test_logprobs_are_of_the_text(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="any", messages=HELLO, temperature=0, max_tokens=8, logprobs=True, top_logprobs=3
    )
    (choice,) = answer.choices
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    assert all(len(entry.top_logprobs) == 3 for entry in choice.logprobs.content)
    told = b"".join(bytes(entry.bytes or []) for entry in choice.logprobs.content)
    assert told.decode(errors="replace") == choice.message.content


def test_an_answer_follows_a_schema(client: OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "maximum": 99}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "hero", "schema": schema, "strict": True}}
    answer = client.chat.completions.create(
        model="any", messages=HELLO, response_format=wanted, max_tokens=120, temperature=0.8, seed=1
    )
    found = json.loads(answer.choices[0].message.content or "")
    assert set(found) == {"name", "age"}


def test_a_named_tool_is_called(client: OpenAI) -> None:
    tool: Any = {
        "type": "function",
        "function": {
            "name": "look",
            "parameters": {
                "type": "object",
                "properties": {"place": {"enum": ["forest", "river"]}},
                "required": ["place"],
            },
        },
    }
    choice: Any = {"type": "function", "function": {"name": "look"}}
    asked: Any = {
        "model": "any",
        "messages": HELLO,
        "tools": [tool],
        "tool_choice": choice,
        "parallel_tool_calls": False,
        "seed": 1,
        "max_tokens": 100,
    }
    answer = client.chat.completions.create(**asked)
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "look"
    assert json.loads(call.function.arguments)["place"] in ("forest", "river")
    assert answer.choices[0].finish_reason == "tool_calls"
    with client.chat.completions.stream(**asked) as stream:
        streamed = stream.get_final_completion()
    (again,) = streamed.choices[0].message.tool_calls or []
    assert again.function.arguments == call.function.arguments


def test_a_conversation_that_does_not_fit(client: OpenAI) -> None:
    for is_streamed in (False, True):
        with pytest.raises(BadRequestError) as caught:
            client.chat.completions.create(model="any", messages=HELLO * 200, stream=is_streamed)
        error: Any = caught.value.body
        assert error["code"] == "context_length_exceeded"
        assert error["n_prompt_tokens"] > error["n_ctx"] == 512


@conformance(row=38, client="curl")
def test_the_prompt_can_be_seen_and_counted(served: Served) -> None:
    body = {"messages": HELLO}
    prompt = served.post("/apply-template", body).json()["prompt"]
    assert "Tell me a story." in prompt
    number = served.post("/v1/chat/completions/input_tokens", body).json()["input_tokens"]
    tokens = served.post("/tokenize", body | {"return_token_strs": True}).json()
    assert tokens["count"] == number
    answer = served.post("/v1/chat/completions", body | {"max_tokens": 1}).json()
    assert answer["usage"]["prompt_tokens"] == number


def test_progress_of_a_prompt(served: Served) -> None:
    body = {"messages": [{"role": "user", "content": "one two three " * 60}], "max_tokens": 2, "stream": True}
    events = served.post("/v1/chat/completions", body | {"return_progress": True}).events()
    reports = [event["prompt_progress"] for event in events if "prompt_progress" in event]
    assert len(reports) > 1
    assert [report["processed"] for report in reports] == sorted({report["processed"] for report in reports})
    assert reports[-1]["processed"] == reports[-1]["total"]


@conformance(row=39, client="curl")
def test_slots(served: Served) -> None:
    slots = served.get("/slots").json()
    assert [slot["id"] for slot in slots] == [0, 1, 2, 3]
    assert not any(slot["is_processing"] for slot in slots)
