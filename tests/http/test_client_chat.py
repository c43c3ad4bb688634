"""`Client.chat` over a real cluster: conversations, calls and schemas, whole and as they come."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from cluster import AsyncClient, Client, Message, UsageError
from cluster.api.results import FinishReason
from cluster.chat.events import CallArguments, CallBegin, End, Started
from cluster.chat.messages import Role
from cluster.wire.access.endpoint import Endpoint
from tests.fakes.wire_backends import wait_until
from tests.http.serving import cluster_of

HELLO = [{"role": "user", "content": "Tell me a story about a fox."}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "of a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"enum": ["Paris", "Rome"]}, "days": {"type": "integer", "maximum": 9}},
                "required": ["city", "days"],
            },
        },
    },
    {"type": "function", "function": {"name": "now"}},
]
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "minimum": 1, "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def endpoint(slice_cache: None) -> Iterator[Endpoint]:
    """Of a cluster with room for tools and a call, in the demo's small tokens."""
    with cluster_of(context_length=1024) as (_, _, found):
        yield found


@pytest.fixture
def client(endpoint: Endpoint) -> Iterator[Client]:
    with Client(endpoint) as found:
        yield found


def test_an_answer(client: Client) -> None:
    answer = client.chat(HELLO, max_tokens=12, temperature=0)
    assert answer.content
    assert answer.tool_calls == ()
    assert answer.finish_reason in (FinishReason.LENGTH, FinishReason.STOP)
    assert answer.usage.completion_tokens == answer.num_tokens <= 12
    assert answer.usage.prompt_tokens > 5
    more = client.chat([*HELLO, answer.message, Message(Role.USER, "And then?")], max_tokens=4, temperature=0)
    assert more.usage.prompt_tokens > answer.usage.prompt_tokens


def test_as_it_comes_it_is_the_same(client: Client) -> None:
    whole = client.chat(HELLO, max_tokens=12, temperature=0)
    with client.chat_stream(HELLO, max_tokens=12, temperature=0) as stream:
        events = list(stream)
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], End)
    assert (stream.answer.content, stream.answer.finish_reason) == (whole.content, whole.finish_reason)


def test_a_call_that_must_be_follows_its_schema(client: Client) -> None:
    for seed in range(4):
        asked = {"tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False}
        with client.chat_stream(HELLO, seed=seed, **asked) as stream:
            events = list(stream)
        (call,) = stream.answer.tool_calls
        arguments = json.loads(call.arguments)
        if call.name == "weather":
            assert arguments["city"] in ("Paris", "Rome")
            assert arguments["days"] <= 9
        else:
            assert (call.name, arguments) == ("now", {})
        names = [event for event in events if isinstance(event, CallBegin)]
        assert len(names) == 1
        assert sum(isinstance(event, CallArguments) for event in events) > 1


def test_the_named_one_is_called(client: Client) -> None:
    named = {"type": "function", "function": {"name": "now"}}
    answer = client.chat(HELLO, tools=TOOLS, tool_choice=named, parallel_tool_calls=False)
    assert [(call.name, call.arguments) for call in answer.tool_calls] == [("now", "{}")]
    assert answer.content == ""


def test_content_follows_a_schema(client: Client) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "who", "schema": SCHEMA, "strict": True}}
    for seed in range(3):
        found = json.loads(client.chat(HELLO, response_format=wanted, seed=seed).content)
        assert set(found) == {"name", "age"}
        assert 1 <= found["age"] <= 99


def test_what_is_wrong_is_named(client: Client) -> None:
    with pytest.raises(UsageError, match=r"^messages\[0\]\.role: "):
        client.chat([{"role": "robot"}])
    with pytest.raises(UsageError, match=r"^tool_choice: "):
        client.chat(HELLO, tool_choice="required")
    with pytest.raises(UsageError, match=r"^temprature: "):
        client.chat(HELLO, temprature=1)


def test_for_asyncio(endpoint: Endpoint) -> None:
    async def ask() -> None:
        async with AsyncClient(endpoint) as client:
            answer = await client.chat(HELLO, max_tokens=8, temperature=0)
            async with client.chat_stream(HELLO, max_tokens=8, temperature=0) as stream:
                events = [event async for event in stream]
            assert isinstance(events[-1], End)
            assert stream.answer.content == answer.content
            calls = (
                await client.chat(HELLO, tools=TOOLS, tool_choice="required", parallel_tool_calls=False)
            ).tool_calls
            assert len(calls) == 1

    asyncio.run(ask())


def test_a_stream_that_is_closed_frees_its_slot(client: Client) -> None:
    with client.chat_stream(HELLO, max_tokens=900, ignore_eos=True) as stream:
        next(stream)
    wait_until(lambda: client.status().num_slots_used == 0, 10)
