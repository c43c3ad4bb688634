"""Tools with curl: who calls has only JSON, and so has who answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.http.curl.asking import chat, choice_of, deltas_of
from tests.http.hello import HI
from tests.http.scripted.calling import call_of
from tests.http.scripted.server import Scripted
from tests.http.serving import Served

pytestmark = pytest.mark.native
conformance = pytest.mark.conformance


def tool(name: str) -> Any:
    """Of one parameter, which is one of two cities."""
    cities = {"type": "object", "properties": {"city": {"enum": ["Paris", "Oslo"]}}, "required": ["city"]}
    return {"type": "function", "function": {"name": name, "parameters": cities}}


TOOLS = [tool("get_weather"), tool("get_time")]


def calls_of(message: Any) -> list[tuple[str, Any]]:
    functions = [call["function"] for call in message.get("tool_calls") or []]
    return [(function["name"], json.loads(function["arguments"])) for function in functions]


@conformance(row=16, client="curl")
@conformance(row=21, client="curl")
@conformance(row=52, client="curl")
def test_calls_and_their_results_until_there_is_a_text(scripted: Scripted) -> None:
    def answer(prompt: str) -> str:
        num_results = prompt.count("<tool_response>")
        city = "Paris" if num_results % 2 == 0 else "Oslo"
        return "All is sunny." if num_results == 3 else call_of("get_weather", {"city": city})

    scripted.script.answers(answer)
    messages, called = list(HI), []
    while (choice := choice_of(chat(scripted.url, messages=messages, tools=TOOLS)))["finish_reason"] == "tool_calls":
        messages.append(choice["message"])
        called += calls_of(choice["message"])
        for call in choice["message"]["tool_calls"]:
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": f"sun, {len(called)}"})
    assert called == [("get_weather", {"city": city}) for city in ("Paris", "Oslo", "Paris")]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("All is sunny.", "stop")
    assert "<tool_response>\nsun, 3\n</tool_response>" in scripted.script.prompts[-1]


@conformance(row=17, client="curl")
@conformance(row=18, client="curl")
@conformance(row=19, client="curl")
@pytest.mark.parametrize("asked", ["required", {"type": "function", "function": {"name": "get_time"}}])
def test_a_forced_call(served: Served, asked: Any) -> None:
    """The demo model knows no calls: that there is one, and only one, is the grammar's doing."""
    more = {"tools": TOOLS, "tool_choice": asked, "parallel_tool_calls": False, "max_tokens": 200}
    choice = choice_of(chat(served.url, **more))
    assert choice["finish_reason"] == "tool_calls"
    ((name, arguments),) = calls_of(choice["message"])
    assert name in (("get_weather", "get_time") if asked == "required" else ("get_time",))
    assert arguments["city"] in ("Paris", "Oslo")


@conformance(row=20, client="curl")
def test_calls_in_a_stream_have_their_names_once(scripted: Scripted) -> None:
    calls = [call_of("get_weather", {"city": "Paris"}), call_of("get_time", {"city": "Oslo"})]
    scripted.script.answers("I look.\n" + "\n".join(calls))
    parts = [
        part
        for delta in deltas_of(chat(scripted.url, tools=TOOLS, stream=True))
        for part in delta.get("tool_calls") or []
    ]
    named = [part for part in parts if part["function"].get("name")]
    assert [(part["index"], part["function"]["name"]) for part in named] == [(0, "get_weather"), (1, "get_time")]
    assert len({part["id"] for part in named}) == 2
    for index, city in enumerate(("Paris", "Oslo")):
        written = [part["function"].get("arguments") or "" for part in parts if part["index"] == index]
        assert json.loads("".join(written)) == {"city": city}
