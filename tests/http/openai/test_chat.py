"""openai-python against the server: what it returns, and what it raises."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.http.hello import HI
from tests.http.scripted.server import Scripted
from tests.http.serving import Served

pytestmark = pytest.mark.native
conformance = pytest.mark.conformance


@conformance(row=1, client="openai")
def test_models(client: openai.OpenAI) -> None:
    (model,) = client.models.list()
    assert model.object == "model"
    assert client.models.retrieve(model.id).id == model.id


@conformance(row=2, client="openai")
def test_chat(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-4o", messages=HI, max_tokens=12, seed=1)
    (choice,) = answer.choices
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 12
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 12


@conformance(row=3, client="openai")
@conformance(row=9, client="openai")
def test_a_stream_is_the_same_text_as_a_whole_answer(client: openai.OpenAI) -> None:
    asked: Any = {"model": "m", "messages": HI, "max_tokens": 16, "seed": 7}
    whole = client.chat.completions.create(**asked).choices[0].message.content
    chunks = list(client.chat.completions.create(**asked, stream=True))
    assert (chunks[0].choices[0].delta.role, chunks[0].choices[0].delta.content) == ("assistant", None)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole
    assert chunks[-1].choices[0].finish_reason == "length"


@conformance(row=3, client="openai")
def test_the_sdk_assembles_a_stream(actor: openai.OpenAI, scripted: Scripted) -> None:
    scripted.script.answers("Once upon a time.")
    with actor.chat.completions.stream(model="m", messages=HI) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        (choice,) = stream.get_final_completion().choices
    assert "".join(deltas) == "Once upon a time."
    assert len(deltas) > 1
    assert (choice.message.role, choice.message.content) == ("assistant", "Once upon a time.")


@conformance(row=4, client="openai")
def test_usage_is_the_last_chunk_of_a_stream_if_asked_for(client: openai.OpenAI) -> None:
    asked: Any = {"model": "m", "messages": HI, "max_tokens": 5, "stream": True}
    chunks = list(client.chat.completions.create(**asked, stream_options={"include_usage": True}))
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 5
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert all(chunk.choices for chunk in client.chat.completions.create(**asked))


@conformance(row=5, client="openai")
@conformance(row=6, client="openai")
def test_system_and_developer_speak_and_parts_are_one_text(actor: openai.OpenAI, scripted: Scripted) -> None:
    parts: Any = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    for role in ("system", "developer"):
        messages: Any = [{"role": role, "content": "Be brief."}, {"role": "user", "content": parts}]
        actor.chat.completions.create(model="m", messages=messages)
        prompt = scripted.script.prompts[-1]
        assert "<|im_start|>system\nBe brief.<|im_end|>" in prompt
        assert "<|im_start|>user\none\ntwo<|im_end|>" in prompt


@conformance(row=7, client="openai")
def test_stop_strings_end_a_text_and_are_not_in_it(actor: openai.OpenAI, scripted: Scripted) -> None:
    scripted.script.answers("One two three four.")
    asked: Any = {"model": "m", "messages": HI, "stop": ["three"]}
    whole = actor.chat.completions.create(**asked).choices[0]
    assert (whole.message.content, whole.finish_reason) == ("One two ", "stop")
    parts = [chunk.choices[0].delta.content or "" for chunk in actor.chat.completions.create(**asked, stream=True)]
    assert "".join(parts) == "One two "


@conformance(row=8, client="openai")
def test_max_completion_tokens_comes_before_max_tokens(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="m", messages=HI, max_tokens=9, max_completion_tokens=3)
    assert answer.usage is not None
    assert (answer.usage.completion_tokens, answer.choices[0].finish_reason) == (3, "length")


@conformance(row=10, client="openai")
def test_two_choices_have_seeds_that_follow_each_other(client: openai.OpenAI) -> None:
    asked: Any = {"model": "m", "messages": HI, "max_tokens": 12, "temperature": 1.0}
    both = client.chat.completions.create(**asked, n=2, seed=5).choices
    assert [choice.index for choice in both] == [0, 1]
    second = client.chat.completions.create(**asked, seed=6).choices[0].message.content
    assert both[1].message.content == second
    streamed = ["", ""]
    for chunk in client.chat.completions.create(**asked, n=2, seed=5, stream=True):
        for choice in chunk.choices:
            streamed[choice.index] += choice.delta.content or ""
    assert streamed == [choice.message.content for choice in both]


@conformance(row=11, client="openai")
def test_log_probabilities_have_the_bytes_of_the_text(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="m", messages=HI, max_tokens=6, logprobs=True, top_logprobs=3, temperature=0
    )
    (choice,) = answer.choices
    assert choice.logprobs is not None
    found = choice.logprobs.content
    assert found is not None
    assert len(found) == 6
    assert b"".join(bytes(one.bytes or ()) for one in found).decode().strip() == (choice.message.content or "").strip()
    for one in found:
        assert len(one.top_logprobs) == 3
        assert one.top_logprobs[0].logprob == pytest.approx(one.logprob)  # greedy draws the most probable


@conformance(row=12, client="openai")
def test_a_biased_token_is_all_that_comes(client: openai.OpenAI, served: Served) -> None:
    token = served.post("/tokenize", {"content": " the", "add_special": False}).json()["tokens"][-1]
    answer = client.chat.completions.create(model="m", messages=HI, max_tokens=4, logit_bias={str(token): 100})
    text = served.post("/detokenize", {"tokens": [token] * 4}).json()["content"]
    assert (answer.choices[0].message.content or "").strip() == text.strip()


@conformance(row=22, client="openai")
def test_reasoning_has_a_field_of_its_own(actor: openai.OpenAI, scripted: Scripted) -> None:
    scripted.script.answers("<think>\nLet me see.\n</think>\n\nYes.")
    message = actor.chat.completions.create(model="m", messages=HI).choices[0].message
    assert message.content == "Yes."
    assert message.model_extra is not None
    assert message.model_extra["reasoning_content"].strip() == "Let me see."


@conformance(row=24, client="openai")
def test_an_answer_that_was_begun_goes_on(actor: openai.OpenAI, scripted: Scripted) -> None:
    messages: Any = [*HI, {"role": "assistant", "content": "Once upon"}]
    extra = {"continue_final_message": True, "add_generation_prompt": False}
    actor.chat.completions.create(model="m", messages=messages, extra_body=extra)
    assert scripted.script.prompts[-1].endswith("<|im_start|>assistant\nOnce upon")


@conformance(row=25, client="openai")
def test_completions_of_texts_and_of_token_ids(client: openai.OpenAI, served: Served) -> None:
    asked: Any = {"model": "m", "max_tokens": 8, "seed": 1}
    text = "Once upon a time"
    ids = served.post("/tokenize", {"content": text, "add_special": True}).json()["tokens"]
    prompts: list[Any] = [text, [text], ids, [ids]]
    answers = [client.completions.create(prompt=prompt, **asked).choices[0].text for prompt in prompts]
    assert len(set(answers)) == 1
    both = client.completions.create(prompt=[text, "The cat"], **asked).choices
    assert [choice.index for choice in both] == [0, 1]
    assert both[0].text == answers[0]
    parts = [chunk.choices[0].text for chunk in client.completions.create(prompt=text, stream=True, **asked)]
    assert "".join(parts) == answers[0]


@conformance(row=42, client="openai")
def test_what_others_send_too_is_ignored(client: openai.OpenAI) -> None:
    extra = {"service_tier": "auto", "num_ctx": 1, "x_nobody_knows": {"a": 1}}
    answer = client.chat.completions.create(
        model="m", messages=HI, max_tokens=2, user="u", store=False, metadata={"a": "b"}, extra_body=extra
    )
    assert answer.choices[0].finish_reason == "length"


@conformance(row=43, client="openai")
def test_a_prompt_that_does_not_fit_is_refused_with_both_numbers(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "a cat " * 2000}]
    with pytest.raises(openai.BadRequestError) as refusal:
        client.chat.completions.create(model="m", messages=messages)
    body: Any = refusal.value.body
    assert (body["type"], body["code"]) == ("exceed_context_size_error", "context_length_exceeded")
    assert body["n_ctx"] == 512
    assert "maximum context length is 512 tokens" in body["message"]


@conformance(row=48, client="openai")
def test_a_character_of_several_tokens_comes_whole(actor: openai.OpenAI, scripted: Scripted) -> None:
    text = "caf\u00e9 \U0001f600 \u65e5\u672c!"
    scripted.script.answers(text)
    chunks = list(actor.chat.completions.create(model="m", messages=HI, stream=True))
    parts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(parts) == text
    assert not any("\ufffd" in part for part in parts)
