"""Chats with curl, whole and as server-sent events."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.curl.asking import chat, choice_of, curl, deltas_of, text_of
from tests.http.hello import HI
from tests.http.scripted.server import Scripted
from tests.http.serving import Served

pytestmark = pytest.mark.native
conformance = pytest.mark.conformance


@conformance(row=2, client="curl")
@conformance(row=8, client="curl")
def test_a_chat(served: Served) -> None:
    answer = chat(served.url, max_tokens=7)
    choice = choice_of(answer)
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"]
    assert choice["finish_reason"] == "length"
    assert answer.json()["usage"]["completion_tokens"] == 7


@conformance(row=3, client="curl")
@conformance(row=4, client="curl")
@conformance(row=9, client="curl")
def test_a_stream_is_the_same_text_and_ends_in_its_usage(served: Served) -> None:
    asked: dict[str, Any] = {"max_tokens": 9, "seed": 4, "temperature": 1.0}
    whole = choice_of(chat(served.url, **asked))["message"]["content"]
    stream = chat(served.url, **asked, stream=True, stream_options={"include_usage": True})
    assert text_of(stream) == whole
    last = stream.events()[-2]
    assert (last["choices"], last["usage"]["completion_tokens"]) == ([], 9)
    assert not any("usage" in chunk for chunk in chat(served.url, **asked, stream=True).events()[:-1])


@conformance(row=5, client="curl")
@conformance(row=6, client="curl")
@pytest.mark.parametrize("role", ["system", "developer"])
def test_who_speaks_and_parts_of_a_text(scripted: Scripted, role: str) -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    messages = [{"role": role, "content": "Be brief."}, {"role": "user", "content": parts}]
    assert choice_of(chat(scripted.url, messages=messages))["message"]["content"] == "Yes."
    prompt = scripted.script.prompts[-1]
    assert "<|im_start|>system\nBe brief.<|im_end|>" in prompt
    assert "<|im_start|>user\none\ntwo<|im_end|>" in prompt


@conformance(row=7, client="curl")
@pytest.mark.parametrize("stop", ["three", ["nine", "three"]])
def test_a_stop_string_ends_a_text(scripted: Scripted, stop: object) -> None:
    scripted.script.answers("One two three four.")
    choice = choice_of(chat(scripted.url, stop=stop))
    assert (choice["message"]["content"], choice["finish_reason"]) == ("One two ", "stop")
    assert text_of(chat(scripted.url, stop=stop, stream=True)) == "One two "


@conformance(row=10, client="curl")
def test_two_choices(served: Served) -> None:
    both = chat(served.url, n=2, max_tokens=9, seed=5, temperature=1.0).json()["choices"]
    assert [choice["index"] for choice in both] == [0, 1]
    assert both[0]["message"]["content"] != both[1]["message"]["content"]


@conformance(row=11, client="curl")
def test_log_probabilities(served: Served) -> None:
    choice = choice_of(chat(served.url, max_tokens=4, logprobs=True, top_logprobs=2, temperature=0))
    told = choice["logprobs"]["content"]
    assert b"".join(bytes(one["bytes"]) for one in told).decode().strip() == choice["message"]["content"].strip()
    assert [len(one["top_logprobs"]) for one in told] == [2] * 4
    assert all(one["top_logprobs"][0]["logprob"] == pytest.approx(one["logprob"]) for one in told)


@conformance(row=12, client="curl")
def test_a_biased_token(served: Served) -> None:
    body = {"content": " the", "add_special": False}
    token = curl(f"{served.url}/tokenize", body).json()["tokens"][-1]
    text = curl(f"{served.url}/detokenize", {"tokens": [token] * 3}).json()["content"]
    choice = choice_of(chat(served.url, max_tokens=3, logit_bias={token: 100}))
    assert choice["message"]["content"].strip() == text.strip()


@conformance(row=22, client="curl")
@conformance(row=23, client="curl")
def test_what_was_thought_is_apart_and_goes_back(scripted: Scripted) -> None:
    scripted.script.answers("<think>\nLet me see.\n</think>\n\nYes.")
    message = choice_of(chat(scripted.url))["message"]
    assert (message["content"], message["reasoning_content"].strip()) == ("Yes.", "Let me see.")
    deltas = deltas_of(chat(scripted.url, stream=True))
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas).strip() == "Let me see."
    choice_of(chat(scripted.url, messages=[*HI, message, {"role": "user", "content": "Go."}]))
    assert "<think>\nLet me see.\n</think>\n\nYes." in scripted.script.prompts[-1]


@conformance(row=43, client="curl")
def test_a_prompt_that_does_not_fit(served: Served) -> None:
    answer = chat(served.url, messages=[{"role": "user", "content": "a cat " * 2000}])
    error = answer.json()["error"]
    assert (answer.status, error["code"], error["n_ctx"]) == (400, "context_length_exceeded", 512)
    assert "maximum context length is 512 tokens" in error["message"]


@conformance(row=48, client="curl")
def test_a_character_of_several_tokens_comes_whole(scripted: Scripted) -> None:
    text = "caf\u00e9 \U0001f600 \u65e5\u672c!"
    scripted.script.answers(text)
    stream = chat(scripted.url, stream=True)
    assert text_of(stream) == text
    assert not any("\ufffd" in (delta.get("content") or "") for delta in deltas_of(stream))
