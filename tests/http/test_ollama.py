"""ollama-python against the server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import ollama
import pytest

from tests.http.hello import HI
from tests.http.scripted.model import CONTEXT_LENGTH
from tests.http.scripted.server import Scripted
from tests.http.serving import Served

pytestmark = pytest.mark.native
conformance = pytest.mark.conformance

READ: Any = {
    "type": "function",
    "function": {
        "name": "read",
        "description": "Reads a file.",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    },
}
CALL = '<tool_call>\n{"name": "read", "arguments": {"path": "a.txt"}}\n</tool_call>'


@pytest.fixture
def client(served: Served) -> Iterator[ollama.Client]:
    """Of the demo model."""
    made = ollama.Client(host=served.url)
    yield made
    made.close()


@pytest.fixture
def actor(scripted: Scripted) -> Iterator[ollama.Client]:
    """Of the scripted model."""
    made = ollama.Client(host=scripted.url)
    yield made
    made.close()


@conformance(row=1, client="ollama-py")
@conformance(row=39, client="ollama-py")
def test_what_there_is(actor: ollama.Client) -> None:
    (listed,) = actor.list().models
    assert listed.model is not None
    assert listed.model.endswith(":latest")
    (running,) = actor.ps().models
    assert running.model == listed.model
    assert running.context_length == CONTEXT_LENGTH
    shown = actor.show(listed.model)
    assert shown.modelinfo is not None
    assert shown.modelinfo["general.architecture"] == "llama"
    assert shown.capabilities is not None
    assert {"completion", "tools", "thinking"} <= set(shown.capabilities)
    assert shown.template is not None
    assert "<tool_call>" in shown.template


@conformance(row=49, client="ollama-py")
@conformance(row=8, client="ollama-py")
def test_chat_and_generate_in_lines_and_in_one(client: ollama.Client) -> None:
    options = {"num_predict": 8, "seed": 3, "temperature": 0.8}
    whole = client.chat("m", HI, options=options)
    lines = list(client.chat("m", HI, options=options, stream=True))
    assert "".join(line.message.content or "" for line in lines) == whole.message.content
    assert (whole.done, whole.done_reason, whole.eval_count) == (True, "length", 8)
    assert lines[-1].eval_count == 8
    assert lines[-1].total_duration is not None
    assert lines[-1].total_duration > 1_000_000  # nanoseconds: no model draws eight tokens within one
    text = client.generate("m", "Once upon a time", raw=True, options=options)
    parts = list(client.generate("m", "Once upon a time", raw=True, options=options, stream=True))
    assert "".join(part.response for part in parts) == text.response
    assert text.response


@conformance(row=21, client="ollama-py")
@conformance(row=16, client="ollama-py")
def test_a_call_is_an_object_and_its_result_goes_back(actor: ollama.Client, scripted: Scripted) -> None:
    scripted.script.answers(lambda prompt: "It says hello." if "<tool_response>" in prompt else CALL)
    first = actor.chat("m", HI, tools=[READ])
    assert first.message.tool_calls is not None
    (call,) = first.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("read", {"path": "a.txt"})
    history = [*HI, first.message, {"role": "tool", "tool_name": "read", "content": "hello"}]
    assert actor.chat("m", history, tools=[READ]).message.content == "It says hello."


@conformance(row=20, client="ollama-py")
def test_a_call_comes_whole_in_a_stream(actor: ollama.Client, scripted: Scripted) -> None:
    scripted.script.answers(f"I look.\n{CALL}")
    lines = list(actor.chat("m", HI, tools=[READ], stream=True))
    calls = [call for line in lines for call in line.message.tool_calls or []]
    assert [call.function.arguments for call in calls] == [{"path": "a.txt"}]


@conformance(row=22, client="ollama-py")
def test_thinking_is_apart(actor: ollama.Client, scripted: Scripted) -> None:
    scripted.script.answers("<think>\nHm.\n</think>\n\nYes.")
    message = actor.chat("m", HI, think=True).message
    assert message.content == "Yes."
    assert (message.thinking or "").strip() == "Hm."


@conformance(row=14, client="ollama-py")
@conformance(row=13, client="ollama-py")
def test_an_answer_in_the_form_of_a_schema(client: ollama.Client) -> None:
    schema = {
        "type": "object",
        "properties": {"hero": {"enum": ["fox", "owl"]}},
        "required": ["hero"],
        "additionalProperties": False,
    }
    answer = client.chat("m", HI, format=schema, options={"num_predict": 64})
    assert json.loads(answer.message.content or "")["hero"] in ("fox", "owl")
    text = client.chat("m", HI, format="json", options={"num_predict": 20}).message.content or ""
    assert text.lstrip().startswith("{")


@conformance(row=11, client="ollama-py")
def test_log_probabilities(client: ollama.Client) -> None:
    answer = client.chat("m", HI, options={"num_predict": 3}, logprobs=True, top_logprobs=2)
    assert answer.logprobs is not None
    assert len(answer.logprobs) == 3
    assert all(len(one.top_logprobs or ()) == 2 for one in answer.logprobs)


def test_load_and_unload(client: ollama.Client) -> None:
    assert client.chat("m", []).done_reason == "load"
    assert client.generate("m", "", keep_alive=0).done_reason == "unload"
    assert client.chat("m", HI, options={"num_predict": 1}).eval_count == 1


@conformance(row=42, client="ollama-py")
def test_what_a_server_of_one_model_does_not_do_is_said(client: ollama.Client, served: Served) -> None:
    for asked in (lambda: client.pull("llama3"), lambda: client.delete("m"), lambda: client.copy("a", "b")):
        with pytest.raises(ollama.ResponseError) as refusal:
            asked()
        assert refusal.value.status_code == 501
    assert served.get("/api/version").json()["version"]
    assert served.get("/").content == b"Ollama is running"


@conformance(row=43, client="ollama-py")
def test_a_prompt_that_does_not_fit(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="maximum context length is 512 tokens"):
        client.chat("m", [{"role": "user", "content": "a cat " * 2000}])
