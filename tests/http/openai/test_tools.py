"""Tools of openai-python."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.http.hello import HI
from tests.http.scripted.calling import call_of
from tests.http.scripted.server import Scripted

pytestmark = pytest.mark.native
conformance = pytest.mark.conformance

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
CALL = call_of("get_weather", {"city": "Paris"})


@conformance(row=16, client="openai")
@conformance(row=21, client="openai")
def test_a_tool_is_called_and_its_result_goes_back(actor: openai.OpenAI, scripted: Scripted) -> None:
    scripted.script.answers(lambda prompt: "It is sunny." if "<tool_response>" in prompt else CALL)
    messages = list(HI)
    first = actor.chat.completions.create(model="m", messages=messages, tools=[WEATHER]).choices[0]
    assert first.finish_reason == "tool_calls"
    assert first.message.content is None
    assert first.message.tool_calls is not None
    (call,) = first.message.tool_calls
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})
    messages += [first.message.to_dict(), {"role": "tool", "tool_call_id": call.id, "content": "sun, 20 degrees"}]
    second = actor.chat.completions.create(model="m", messages=messages, tools=[WEATHER]).choices[0]
    assert (second.message.content, second.finish_reason) == ("It is sunny.", "stop")
    assert "sun, 20 degrees" in scripted.script.prompts[-1]
    assert '"arguments": {"city": "Paris"}' in scripted.script.prompts[-1]


@conformance(row=17, client="openai")
@conformance(row=18, client="openai")
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
@conformance(row=19, client="openai")
def test_a_forced_call_follows_its_schema_whatever_the_model(client: openai.OpenAI, choice: Any) -> None:
    """The demo model has never seen a call: name and arguments are the grammar's doing."""
    tool: Any = {"type": "function", "function": {**WEATHER["function"]}}
    tool["function"]["parameters"] = {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Oslo"]}},
        "required": ["city"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model="m", messages=HI, tools=[tool], tool_choice=choice, max_tokens=200, parallel_tool_calls=False
    ).choices[0]
    assert answer.finish_reason == "tool_calls"
    assert answer.message.tool_calls is not None
    (call,) = answer.message.tool_calls
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments)["city"] in ("Paris", "Oslo")


@conformance(row=20, client="openai")
def test_calls_are_streamed_with_their_names_once(actor: openai.OpenAI, scripted: Scripted) -> None:
    scripted.script.answers("I look.\n" + CALL + "\n" + CALL.replace("Paris", "Oslo"))
    with actor.chat.completions.stream(model="m", messages=HI, tools=[WEATHER]) as stream:
        for _ in stream:
            pass
        (choice,) = stream.get_final_completion().choices
    assert choice.finish_reason == "tool_calls"
    assert (choice.message.content or "").strip() == "I look."
    assert choice.message.tool_calls is not None
    assert [(call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls] == [
        ("get_weather", {"city": "Paris"}),
        ("get_weather", {"city": "Oslo"}),
    ]
    assert len({call.id for call in choice.message.tool_calls}) == 2


@conformance(row=52, client="openai")
def test_three_turns_of_an_agent(actor: openai.OpenAI, scripted: Scripted) -> None:
    def answer(prompt: str) -> str:
        num_results = prompt.count("<tool_response>")
        city = ("Paris", "Oslo", "Rome")[min(num_results, 2)]
        return "All three are sunny." if num_results == 3 else CALL.replace("Paris", city)

    scripted.script.answers(answer)
    messages = list(HI)
    cities = []
    for _ in range(4):
        message = actor.chat.completions.create(model="m", messages=messages, tools=[WEATHER]).choices[0].message
        messages.append(message.to_dict())
        for call in message.tool_calls or []:
            assert call.type == "function"
            cities.append(json.loads(call.function.arguments)["city"])
            messages.append({"role": "tool", "tool_call_id": call.id, "content": "sunny"})
    assert cities == ["Paris", "Oslo", "Rome"]
    assert messages[-1]["content"] == "All three are sunny."
