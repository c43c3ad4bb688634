"""openai-python's Responses against the server."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.http.scripted.calling import call_of
from tests.http.scripted.server import Scripted

pytestmark = pytest.mark.native
conformance = pytest.mark.conformance

READ: Any = {
    "type": "function",
    "name": "read",
    "description": "Reads a file.",
    "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    "strict": False,
}
FILES: Any = {"type": "namespace", "name": "files", "description": "Files", "tools": [READ]}


@conformance(row=27, client="openai")
def test_a_response(client: openai.OpenAI) -> None:
    answer = client.responses.create(
        model="m", input="Tell me a story.", instructions="Be brief.", max_output_tokens=8, extra_body={"seed": 1}
    )
    assert answer.output_text
    assert answer.status == "incomplete"
    assert answer.usage is not None
    assert answer.usage.output_tokens == 8


@conformance(row=28, client="openai")
def test_a_stream_ends_in_what_a_whole_response_is(actor: openai.OpenAI, scripted: Scripted) -> None:
    scripted.script.answers("<think>\nHm.\n</think>\n\nI read it.\n" + call_of("read", {"path": "a.txt"}))
    asked: Any = {"model": "m", "input": "Read a.txt", "tools": [READ]}
    whole = actor.responses.create(**asked)
    with actor.responses.stream(**asked) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call"]
    assert [item.type for item in whole.output] == [item.type for item in final.output]
    assert final.output_text == whole.output_text
    call = final.output[-1]
    assert call.type == "function_call"
    assert json.loads(call.arguments) == {"path": "a.txt"}


@conformance(row=29, client="openai")
def test_a_conversation_goes_on_by_the_id_of_its_last_response(actor: openai.OpenAI, scripted: Scripted) -> None:
    scripted.script.answers(lambda prompt: f"Turn {prompt.count('assistant')}.")
    first = actor.responses.create(model="m", input="My name is Ada.", instructions="Be brief.")
    second = actor.responses.create(model="m", input="Who am I?", previous_response_id=first.id)
    prompt = scripted.script.prompts[-1]
    assert "My name is Ada." in prompt
    assert "Turn 1." in prompt
    assert "Be brief." not in prompt  # instructions are those of one request
    assert second.output_text == "Turn 2."
    assert actor.responses.retrieve(second.id).output_text == "Turn 2."
    (asked,) = actor.responses.input_items.list(second.id).data
    assert asked.type == "message"
    actor.responses.delete(first.id)
    for gone in (
        lambda: actor.responses.retrieve(first.id),
        lambda: actor.responses.create(model="m", input="x", previous_response_id=first.id),
        lambda: actor.responses.delete(first.id),
    ):
        with pytest.raises(openai.NotFoundError):
            gone()
    third = actor.responses.create(model="m", input="And now?", previous_response_id=second.id)
    assert third.output_text == "Turn 3."  # what it stands on is kept with it


@conformance(row=30, client="openai")
def test_a_response_that_was_cut_off_is_incomplete(client: openai.OpenAI) -> None:
    with client.responses.stream(model="m", input="Tell me a story.", max_output_tokens=3) as stream:
        last = list(stream)[-1]
    assert last.type == "response.incomplete"
    assert last.response.incomplete_details is not None
    assert last.response.incomplete_details.reason == "max_output_tokens"


@conformance(row=31, client="openai")
def test_a_tool_of_a_namespace_is_called_by_both_its_names(actor: openai.OpenAI, scripted: Scripted) -> None:
    scripted.script.answers(
        lambda prompt: "It says hello." if "<tool_response>" in prompt else call_of("files__read", {"path": "a.txt"})
    )
    items: list[Any] = [{"role": "user", "content": "Read a.txt"}]
    first = actor.responses.create(model="m", input=items, tools=[FILES])
    (call,) = first.output
    assert call.type == "function_call"
    assert (call.name, call.namespace) == ("read", "files")
    items += [call.to_dict(), {"type": "function_call_output", "call_id": call.call_id, "output": "hello"}]
    second = actor.responses.create(model="m", input=items, tools=[FILES])
    assert second.output_text == "It says hello."
    assert '"name": "files__read"' in scripted.script.prompts[-1]
    assert "<tool_response>\nhello\n</tool_response>" in scripted.script.prompts[-1]


@conformance(row=23, client="openai")
def test_reasoning_goes_back_with_its_turn(actor: openai.OpenAI, scripted: Scripted) -> None:
    scripted.script.answers("<think>\nHm.\n</think>\n\nYes.")
    first = actor.responses.create(model="m", input="Ready?", store=False)
    items: list[Any] = [{"role": "user", "content": "Ready?"}, *(item.to_dict() for item in first.output)]
    actor.responses.create(model="m", input=[*items, {"role": "user", "content": "Go."}])
    assert "<think>\nHm.\n</think>" in scripted.script.prompts[-1]


@conformance(row=14, client="openai")
def test_a_response_in_the_form_of_a_schema(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"hero": {"enum": ["fox", "owl"]}},
        "required": ["hero"],
        "additionalProperties": False,
    }
    form: Any = {"format": {"type": "json_schema", "name": "tale", "schema": schema, "strict": True}}
    answer = client.responses.create(model="m", input="Tell me a story.", text=form, max_output_tokens=64)
    assert json.loads(answer.output_text)["hero"] in ("fox", "owl")


@conformance(row=43, client="openai")
def test_an_input_that_does_not_fit(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        client.responses.create(model="m", input="a cat " * 2000)
    assert refusal.value.code == "context_length_exceeded"


@conformance(row=37, client="openai")
def test_the_tokens_of_an_input_are_counted(client: openai.OpenAI) -> None:
    short = client.responses.input_tokens.count(model="m", input="Hi.").input_tokens
    long = client.responses.input_tokens.count(model="m", input="Hi. " * 20).input_tokens
    assert 0 < short < long
