"""Ollama's API: bodies, lines as ollama-python reads them, and what is listed."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import ollama
import pytest

from cluster.api.errors import StageLostError, UsageError
from cluster.api.results import FinishReason
from cluster.chat.events import (
    CallArguments,
    CallBegin,
    CallEnd,
    ChatEvent,
    Content,
    Failed,
    Reasoning,
    TokenLogprob,
)
from cluster.chat.messages import ChatRequest, FormatKind, Message, Role, ToolCall
from cluster.http.faces.face import Asked, AtOnce, RawRequest
from cluster.http.faces.ollama.chat import OllamaChatFace
from cluster.http.faces.ollama.encoder import OllamaEncoder, as_message, as_response
from cluster.http.faces.ollama.generate import OllamaGenerateFace
from cluster.http.faces.ollama.listing import Abilities, running, shown, tags
from tests.unit.http.faces.kit import SERVED, STARTED, VOCABULARY, end, streamed

SINCE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HI = [{"role": "user", "content": "hi"}]
TURN: tuple[ChatEvent, ...] = (
    STARTED,
    Reasoning(0, "Hm."),
    Content(0, "I "),
    Content(0, "look."),
    CallBegin(0, 0, "call_1", "read"),
    CallArguments(0, 0, '{"path"'),
    CallArguments(0, 0, ': "a"}'),
    CallEnd(0, 0),
    end(num_calls=1),
)


def client(answer: bytes) -> ollama.Client:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=answer))
    return ollama.Client(host="http://test", transport=transport)


def chat(**body: Any) -> Asked:
    asked = OllamaChatFace().parse({"model": "x", "messages": HI, **body}, SERVED, "req_1")
    assert isinstance(asked, Asked)
    return asked


def generate(**body: Any) -> Asked:
    asked = OllamaGenerateFace().parse({"model": "x", "prompt": "hi", **body}, SERVED, "req_1")
    assert isinstance(asked, Asked)
    return asked


def test_the_client_reads_a_line_for_each_piece_and_calls_whole() -> None:
    chunks = list(client(streamed(chat().encoder, TURN)).chat("x", HI, stream=True))
    assert [chunk.message.content for chunk in chunks] == ["", "I ", "look.", "", ""]
    assert chunks[0].message.thinking == "Hm."
    calls = chunks[3].message.tool_calls
    assert calls is not None
    assert (calls[0].function.name, calls[0].function.arguments) == ("read", {"path": "a"})
    last = chunks[-1]
    assert (last.done, last.done_reason) == (True, "stop")
    assert (last.prompt_eval_count, last.eval_count) == (12, 5)
    assert (last.prompt_eval_duration, last.eval_duration, last.total_duration) == (20_000_000, 30_000_000, 51_500_000)
    assert not any(chunk.done for chunk in chunks[:-1])


def test_one_answer_is_the_sum_of_the_lines() -> None:
    encoder = chat().encoder
    streamed(encoder, TURN)
    answer = client(json.dumps(encoder.whole()).encode()).chat("x", HI)
    assert (answer.message.content, answer.message.thinking) == ("I look.", "Hm.")
    assert answer.message.tool_calls is not None
    assert answer.message.tool_calls[0].function.arguments == {"path": "a"}
    assert answer.done
    assert answer.model == "demo"


def test_generate_has_its_text_in_a_field_of_its_own() -> None:
    events = (STARTED, Reasoning(0, "Hm."), Content(0, "Once"), end(FinishReason.LENGTH))
    chunks = list(client(streamed(generate().encoder, events)).generate("x", "hi", stream=True))
    assert [(chunk.response, chunk.thinking) for chunk in chunks] == [("", "Hm."), ("Once", None), ("", None)]
    assert chunks[-1].done_reason == "length"


def test_a_call_that_was_cut_off_is_text_so_that_nobody_carries_it_out() -> None:
    cut = (STARTED, CallBegin(0, 0, "c", "read"), CallArguments(0, 0, '{"path": "a'), end(FinishReason.LENGTH))
    encoder = chat().encoder
    streamed(encoder, cut)
    assert encoder.whole()["message"] == {"role": "assistant", "content": 'read({"path": "a'}


def test_a_failure_is_a_line_that_the_client_raises() -> None:
    sent = streamed(chat().encoder, (STARTED, Content(0, "x"), Failed(0, StageLostError("stage 1: it died; again"))))
    with pytest.raises(ollama.ResponseError, match="stage 1: it died"):
        list(client(sent).chat("x", HI, stream=True))


def test_a_line_that_adds_nothing_keeps_the_connection() -> None:
    encoder = chat().encoder
    sent = encoder.keep_alive() + streamed(encoder, (STARTED, Content(0, "x"), end()))
    assert [chunk.message.content for chunk in client(sent).chat("x", HI, stream=True)] == ["", "x", ""]


def test_log_probabilities_where_they_are_asked_for() -> None:
    events = (STARTED, Content(0, " hi", (TokenLogprob(1, -0.5, ((1, -0.5),)),)), end())
    made = OllamaEncoder("demo", as_message, VOCABULARY.pieces)
    (chunk, _) = list(client(streamed(made, events)).chat("x", HI, stream=True))
    assert chunk.logprobs is not None
    assert (chunk.logprobs[0].token, chunk.logprobs[0].logprob) == (" hi", -0.5)
    assert "logprobs" not in json.loads(streamed(OllamaEncoder("demo", as_response), events).splitlines()[0])


def test_calls_get_ids_and_results_find_their_calls() -> None:
    messages = [
        {"role": "user", "content": "look"},
        {
            "role": "assistant",
            "content": "",
            "thinking": "Hm.",
            "tool_calls": [
                {"function": {"name": "read", "arguments": {"path": "a"}}},
                {"function": {"name": "list", "arguments": {}}},
            ],
        },
        {"role": "tool", "tool_name": "list", "content": "two"},
        {"role": "tool", "tool_name": "read", "content": "one"},
    ]
    request = chat(messages=messages).request
    assert isinstance(request, ChatRequest)
    first, second = f"call_{1:024d}", f"call_{2:024d}"
    calls = (ToolCall(first, "read", '{"path":"a"}'), ToolCall(second, "list", "{}"))
    assert request.messages == (
        Message(Role.USER, "look"),
        Message(Role.ASSISTANT, "", "Hm.", calls),
        Message(Role.TOOL, "two", tool_call_id=second, name="list"),
        Message(Role.TOOL, "one", tool_call_id=first, name="read"),
    )


def test_options_format_and_thinking() -> None:
    options = {"num_predict": 5, "temperature": 0.0, "stop": ["a"], "num_ctx": 4096, "seed": 1}
    made = chat(options=options, format={"type": "object"}, think="low", keep_alive="5m")
    request = made.request
    assert isinstance(request, ChatRequest)
    params = request.params
    assert (params.max_tokens, params.temperature, params.stop, params.seed) == (5, 0.0, ("a",), 1)
    assert request.response_format.kind is FormatKind.JSON_SCHEMA
    assert request.template_arguments == {"enable_thinking": True, "reasoning_effort": "low"}
    assert made.ignored == ("options.num_ctx",)
    assert made.is_streamed
    assert not chat(stream=False).is_streamed
    plain = chat(format="json", options={"num_predict": -1}, think=False).request
    assert isinstance(plain, ChatRequest)
    assert plain.response_format.kind is FormatKind.JSON_OBJECT
    assert plain.params.max_tokens is None
    assert plain.template_arguments == {"enable_thinking": False}


def test_a_prompt_is_a_message_unless_it_is_raw() -> None:
    request = generate(system="Be brief.").request
    assert isinstance(request, ChatRequest)
    assert request.messages == (Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "hi"))
    raw = generate(raw=True).request
    assert isinstance(raw, RawRequest)
    assert raw.prompts == ("hi",)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"messages": [{"role": "user", "content": "x", "images": ["a"]}]}, r"messages\[0\].images\[0\]: "),
        ({"messages": [{"role": "user", "content": "x", "images": [7]}]}, r"messages\[0\].images: "),
        ({"messages": [{"role": "system", "content": "x", "images": ["aaaa"]}]}, r"messages\[0\].images: only"),
        ({"messages": [{"content": "x"}]}, r"messages\[0\].role: it is missing"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, r"messages\[0\].content: is a list"),
        ({"format": 3}, "format: is a number"),
        ({"format": "yaml"}, "format: is a string"),
        ({"think": 3}, "think: is a number"),
        ({"options": {"temperature": "hot"}}, "options.temperature: "),
        ({"options": []}, "options: is a list"),
        ({"tools": [{"type": "function"}]}, r"tools\[0\].function: it has no name"),
    ],
)
def test_a_wrong_value_of_a_chat_is_refused_by_its_path(body: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        chat(**body)


@pytest.mark.parametrize("name", ["suffix", "template"])
def test_what_a_prompt_cannot_bring(name: str) -> None:
    with pytest.raises(UsageError, match=f"^{name}: "):
        generate(**{name: "x"})


@pytest.mark.parametrize(
    ("keep_alive", "reason"), [(None, "load"), ("5m", "load"), (0, "unload"), ("0", "unload"), ("0s", "unload")]
)
def test_without_a_message_the_model_is_loaded_or_unloaded(keep_alive: Any, reason: str) -> None:
    chat_body = {"model": "x", "messages": [], "keep_alive": keep_alive}
    answer = OllamaChatFace().parse(chat_body, SERVED, "req_1")
    assert isinstance(answer, AtOnce)
    assert (answer.body["done"], answer.body["done_reason"]) == (True, reason)
    assert client(json.dumps(answer.body).encode()).chat("x", []).message.content == ""
    answer = OllamaGenerateFace().parse({"model": "x", "keep_alive": keep_alive}, SERVED, "req_1")
    assert isinstance(answer, AtOnce)
    assert (answer.body["response"], answer.body["done_reason"]) == ("", reason)


def test_what_is_listed_is_what_the_client_reads() -> None:
    (listed,) = client(json.dumps(tags(SERVED, SINCE)).encode()).list().models
    assert (listed.model, listed.size, listed.digest) == ("demo:latest", 1000, "ab" * 32)
    assert listed.details is not None
    assert (listed.details.parameter_size, listed.details.quantization_level) == ("7.6B", "Q8_0")
    assert listed.modified_at == SINCE
    (process,) = client(json.dumps(running(SERVED)).encode()).ps().models
    assert (process.context_length, process.size_vram) == (1024, 1000)
    info = client(json.dumps(shown(SERVED, Abilities("{{ x }}", True, True), SINCE)).encode()).show("x")
    assert info.template == "{{ x }}"
    assert info.capabilities == ["completion", "tools", "thinking"]
    assert info.modelinfo is not None
    assert info.modelinfo["llama.context_length"] == 2048


def test_an_alias_with_a_tag_keeps_it() -> None:
    tagged = dataclasses.replace(SERVED, alias="demo:7b")
    (listed,) = client(json.dumps(tags(tagged, SINCE)).encode()).list().models
    assert listed.model == "demo:7b"
