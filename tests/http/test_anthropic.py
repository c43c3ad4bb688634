"""anthropic-python against the server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.http.hello import HI
from tests.http.scripted.server import Scripted
from tests.http.serving import Served

pytestmark = pytest.mark.native
conformance = pytest.mark.conformance

READ: Any = {
    "name": "read",
    "description": "Reads a file.",
    "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
}
CALL = '<tool_call>\n{"name": "read", "arguments": {"path": "a.txt"}}\n</tool_call>'


@pytest.fixture
def client(served: Served) -> Iterator[anthropic.Anthropic]:
    """Of the demo model."""
    with anthropic.Anthropic(base_url=served.url, api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture
def actor(scripted: Scripted) -> Iterator[anthropic.Anthropic]:
    """Of the scripted model."""
    with anthropic.Anthropic(base_url=scripted.url, api_key="none", max_retries=0) as made:
        yield made


@conformance(row=1, client="anthropic")
def test_models(client: anthropic.Anthropic) -> None:
    (model,) = client.models.list().data
    assert model.type == "model"
    assert client.models.retrieve(model.id).id == model.id


@conformance(row=32, client="anthropic")
@conformance(row=8, client="anthropic")
def test_a_message(client: anthropic.Anthropic) -> None:
    message = client.messages.create(model="claude-x", max_tokens=7, messages=HI, system="Be brief.")
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 7
    (block,) = message.content
    assert block.type == "text"
    assert block.text


@conformance(row=33, client="anthropic")
def test_a_stream_ends_in_what_a_whole_message_is(actor: anthropic.Anthropic, scripted: Scripted) -> None:
    scripted.script.answers("Once upon a time.")
    whole = actor.messages.create(model="m", max_tokens=99, messages=HI)
    with actor.messages.stream(model="m", max_tokens=99, messages=HI) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == "Once upon a time."
    assert whole.content[0].to_dict() == {"type": "text", "text": text}
    assert (final.stop_reason, whole.stop_reason) == ("end_turn", "end_turn")
    assert final.usage.output_tokens == whole.usage.output_tokens
    prompt = [
        usage.input_tokens + (usage.cache_read_input_tokens or 0) for usage in (final.usage, whole.usage)
    ]  # of the second one, more was in the cache
    assert prompt[0] == prompt[1] > 0


@conformance(row=7, client="anthropic")
def test_the_stop_sequence_that_ended_it_is_named(actor: anthropic.Anthropic, scripted: Scripted) -> None:
    scripted.script.answers("One two three.")
    message = actor.messages.create(model="m", max_tokens=99, messages=HI, stop_sequences=["nine", "three"])
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "three")
    assert message.content[0].to_dict()["text"] == "One two "


@conformance(row=34, client="anthropic")
@conformance(row=23, client="anthropic")
def test_thinking_is_a_block_that_goes_back(actor: anthropic.Anthropic, scripted: Scripted) -> None:
    scripted.script.answers("<think>\nLet me see.\n</think>\n\nYes.")
    asked: Any = {"model": "m", "max_tokens": 99, "thinking": {"type": "enabled", "budget_tokens": 2000}}
    with actor.messages.stream(messages=HI, **asked) as stream:
        thought = "".join(event.thinking for event in stream if event.type == "thinking")
        message = stream.get_final_message()
    thinking, text = message.content
    assert thinking.type == "thinking"
    assert thinking.thinking == thought
    assert thinking.thinking.strip() == "Let me see."
    assert thinking.signature
    assert text.type == "text"
    assert text.text == "Yes."
    history: list[Any] = [*HI, {"role": "assistant", "content": [block.to_dict() for block in message.content]}]
    actor.messages.create(messages=[*history, {"role": "user", "content": "Go."}], **asked)
    assert "<think>\nLet me see.\n</think>\n\nYes." in scripted.script.prompts[-1]


@conformance(row=16, client="anthropic")
@conformance(row=20, client="anthropic")
@conformance(row=21, client="anthropic")
def test_a_tool_is_used_and_its_result_comes_before_the_text(actor: anthropic.Anthropic, scripted: Scripted) -> None:
    scripted.script.answers(lambda prompt: "It says hello." if "<tool_response>" in prompt else f"I look.\n{CALL}")
    with actor.messages.stream(model="m", max_tokens=99, messages=HI, tools=[READ]) as stream:
        message = stream.get_final_message()
    assert message.stop_reason == "tool_use"
    text, use = message.content
    assert text.type == "text"
    assert text.text.strip() == "I look."
    assert use.type == "tool_use"
    assert (use.name, use.input) == ("read", {"path": "a.txt"})
    result = {"type": "tool_result", "tool_use_id": use.id, "content": [{"type": "text", "text": "hello"}]}
    history: list[Any] = [
        *HI,
        {"role": "assistant", "content": [block.to_dict() for block in message.content]},
        {"role": "user", "content": [{"type": "text", "text": "What does it say?"}, result]},
    ]
    answer = actor.messages.create(model="m", max_tokens=99, messages=history, tools=[READ])
    assert answer.content[0].to_dict()["text"] == "It says hello."
    prompt = scripted.script.prompts[-1]
    assert prompt.index("<tool_response>\nhello") < prompt.index("What does it say?")


@conformance(row=18, client="anthropic")
@conformance(row=17, client="anthropic")
@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "read"}])
def test_a_forced_tool_follows_its_schema_whatever_the_model(client: anthropic.Anthropic, choice: Any) -> None:
    schema = {"type": "object", "properties": {"path": {"enum": ["a", "b"]}}, "required": ["path"]}
    message = client.messages.create(
        model="m",
        max_tokens=200,
        messages=HI,
        tools=[{"name": "read", "input_schema": schema}],
        tool_choice={**choice, "disable_parallel_tool_use": True},
    )
    assert message.stop_reason == "tool_use"
    (use,) = message.content
    assert use.type == "tool_use"
    assert isinstance(use.input, dict)
    assert use.input["path"] in ("a", "b")


@conformance(row=35, client="anthropic")
def test_a_system_message_in_the_middle_is_read(actor: anthropic.Anthropic, scripted: Scripted) -> None:
    messages: list[Any] = [
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": "Hello."},
        {"role": "system", "content": "Speak of owls."},
        {"role": "user", "content": "Go on."},
    ]
    system: Any = [
        {"type": "text", "text": "x-anthropic-billing-header: cch=123;"},
        {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
    ]
    actor.messages.create(model="m", max_tokens=9, messages=messages, system=system)
    prompt = scripted.script.prompts[-1]
    assert "Speak of owls." in prompt
    assert "billing" not in prompt
    assert "Be brief." in prompt


@conformance(row=24, client="anthropic")
def test_an_answer_that_was_begun_goes_on(actor: anthropic.Anthropic, scripted: Scripted) -> None:
    actor.messages.create(model="m", max_tokens=9, messages=[*HI, {"role": "assistant", "content": "Once upon"}])
    assert scripted.script.prompts[-1].endswith("<|im_start|>assistant\nOnce upon")


@conformance(row=36, client="anthropic")
def test_the_count_of_tokens_is_that_of_the_message(actor: anthropic.Anthropic) -> None:
    counted = actor.messages.count_tokens(model="m", messages=HI, tools=[READ]).input_tokens
    usage = actor.messages.create(model="m", max_tokens=2, messages=HI, tools=[READ]).usage
    assert counted == usage.input_tokens + (usage.cache_read_input_tokens or 0)


@conformance(row=14, client="anthropic")
def test_an_answer_in_the_form_of_a_schema(client: anthropic.Anthropic) -> None:
    schema = {
        "type": "object",
        "properties": {"hero": {"enum": ["fox", "owl"]}},
        "required": ["hero"],
        "additionalProperties": False,
    }
    form: Any = {"format": {"type": "json_schema", "schema": schema}}
    message = client.messages.create(model="m", max_tokens=64, messages=HI, output_config=form)
    assert json.loads(message.content[0].to_dict()["text"])["hero"] in ("fox", "owl")


@conformance(row=42, client="anthropic")
def test_what_others_send_too_is_ignored(client: anthropic.Anthropic) -> None:
    message = client.beta.messages.create(
        model="m",
        max_tokens=2,
        messages=HI,
        betas=["context-management-2025-06-27"],
        metadata={"user_id": "u"},
        context_management={"edits": []},
        tools=[{"type": "web_search_20250305", "name": "web_search"}],
    )
    assert message.stop_reason == "max_tokens"


@conformance(row=43, client="anthropic")
def test_a_prompt_that_does_not_fit_says_both_numbers(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError) as refusal:
        client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "a cat " * 2000}])
    body: Any = refusal.value.body
    assert body["type"] == "error"
    assert body["error"]["type"] == "invalid_request_error"
    assert "prompt is too long: " in body["error"]["message"]
    assert "tokens > 512 maximum" in body["error"]["message"]
    assert body["request_id"] == refusal.value.request_id


@conformance(row=41, client="anthropic")
def test_a_wrong_value_is_an_error_of_this_api(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="temperature: "):
        client.messages.create(model="m", max_tokens=9, messages=HI, extra_body={"temperature": 900})
