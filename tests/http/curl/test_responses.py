"""Responses with curl."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.curl.asking import curl
from tests.http.scripted.calling import call_of
from tests.http.scripted.server import Scripted
from tests.http.serving import Answer, Served

pytestmark = pytest.mark.native
conformance = pytest.mark.conformance
PATHS = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
READ: Any = {"type": "function", "name": "read", "parameters": PATHS, "strict": False}


def respond(url: str, **body: Any) -> Answer:
    answer = curl(f"{url}/v1/responses", body)
    assert answer.status == 200, answer.content
    return answer


def text_of(response: Any) -> str:
    messages = [item for item in response["output"] if item["type"] == "message"]
    return "".join(part["text"] for message in messages for part in message["content"])


@conformance(row=27, client="curl")
@conformance(row=30, client="curl")
def test_a_response_and_where_it_was_cut_off(served: Served) -> None:
    found = respond(served.url, input="Tell me a story.", max_output_tokens=5).json()
    assert text_of(found)
    assert (found["object"], found["status"]) == ("response", "incomplete")
    assert found["incomplete_details"] == {"reason": "max_output_tokens"}
    assert found["usage"]["output_tokens"] == 5


@conformance(row=28, client="curl")
def test_a_stream_ends_in_the_whole_response(scripted: Scripted) -> None:
    scripted.script.answers("Once upon a time.")
    events = respond(scripted.url, input="Tell me a story.", stream=True).events()
    assert (events[0]["type"], events[-1]["type"]) == ("response.created", "response.completed")
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert "".join(deltas) == text_of(events[-1]["response"]) == "Once upon a time."
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert (events[0]["response"]["status"], events[0]["response"]["output"]) == ("in_progress", [])


@conformance(row=29, client="curl")
def test_a_response_builds_on_another(scripted: Scripted) -> None:
    scripted.script.answers(lambda prompt: f"Turn {prompt.count('assistant')}.")
    first = respond(scripted.url, input="My name is Ada.").json()
    second = respond(scripted.url, input="Who am I?", previous_response_id=first["id"]).json()
    assert (text_of(second), second["previous_response_id"]) == ("Turn 2.", first["id"])
    assert "My name is Ada." in scripted.script.prompts[-1]
    gone = curl(f"{scripted.url}/v1/responses", {"input": "x", "previous_response_id": "resp_none"})
    assert gone.status == 404


@conformance(row=31, client="curl")
def test_a_tool_of_a_namespace(scripted: Scripted) -> None:
    scripted.script.answers(
        lambda prompt: "It says hello." if "<tool_response>" in prompt else call_of("files__read", {"path": "a.txt"})
    )
    tools = [{"type": "namespace", "name": "files", "description": "Files", "tools": [READ]}]
    items: list[Any] = [{"role": "user", "content": "Read a.txt"}]
    (call,) = respond(scripted.url, input=items, tools=tools).json()["output"]
    assert (call["type"], call["name"], call["namespace"]) == ("function_call", "read", "files")
    items += [call, {"type": "function_call_output", "call_id": call["call_id"], "output": "hello"}]
    assert text_of(respond(scripted.url, input=items, tools=tools).json()) == "It says hello."
    assert "<tool_response>\nhello\n</tool_response>" in scripted.script.prompts[-1]
