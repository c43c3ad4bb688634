"""Chunks of chat completions: their order, what stands in each, and what openai-python makes of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import openai
import pytest

from cluster.api.errors import StageLostError
from cluster.api.results import FinishReason, Timings
from cluster.chat.events import (
    CallArguments,
    CallBegin,
    CallEnd,
    ChatEvent,
    Content,
    End,
    Failed,
    PromptProgress,
    Reasoning,
    Started,
    TokenLogprob,
)
from cluster.http.faces.chat_events import ChatEncoder, Shown
from cluster.http.faces.usage import timings
from tests.unit.http.faces.kit import SERVED, STARTED, TIMINGS, end, openai_client, streamed

SHOWN = Shown("chatcmpl-1", 1_700_000_000)
TURN: tuple[ChatEvent, ...] = (
    STARTED,
    Reasoning(0, "Let me "),
    Reasoning(0, "see."),
    Content(0, "I read "),
    Content(0, "it."),
    CallBegin(0, 0, "call_1", "read"),
    CallArguments(0, 0, '{"path"'),
    CallArguments(0, 0, ': "a"}'),
    CallEnd(0, 0),
    CallBegin(0, 1, "call_2", "now"),
    CallArguments(0, 1, "{}"),
    CallEnd(0, 1),
    end(num_reasoning_tokens=2, num_calls=2),
)
HELLO: tuple[ChatEvent, ...] = (STARTED, Content(0, "Hello"), Content(0, " you"), end())


def encoder(num_choices: int = 1, **shown: Any) -> ChatEncoder:
    return ChatEncoder(SERVED, replace(SHOWN, **shown), num_choices)


def chunks_of(sent: bytes) -> list[Any]:
    parts = [part.removeprefix("data: ") for part in sent.decode().split("\n\n") if part]
    return [part if part == "[DONE]" else json.loads(part) for part in parts]


def assembled(sent: bytes, **asked: Any) -> Any:
    with openai_client(sent).chat.completions.stream(
        model="m", messages=[{"role": "user", "content": "hi"}], **asked
    ) as stream:
        return stream.get_final_completion()


def whole(made: ChatEncoder, events: tuple[ChatEvent, ...]) -> dict[str, Any]:
    for event in events:
        made.push(event)
    return dict(made.whole())


def test_the_role_comes_in_a_chunk_of_its_own_and_in_the_same_write_as_the_first_text() -> None:
    made = encoder()
    assert made.push(STARTED) == b""
    role, first = chunks_of(made.push(Content(0, "Hello")))
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": None}
    assert first["choices"][0]["delta"] == {"content": "Hello"}
    (second,) = chunks_of(made.push(Content(0, " you")))
    assert second["choices"][0]["delta"] == {"content": " you"}
    (last,) = chunks_of(made.push(end()))
    assert last["choices"][0]["delta"] == {}
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["timings"]["predicted_n"] == TIMINGS.num_tokens
    assert chunks_of(made.close()) == ["[DONE]"]


def test_each_chunk_has_the_head_and_the_fingerprint() -> None:
    *chunks, _ = chunks_of(streamed(encoder(usage=True), HELLO))
    heads = {(one["id"], one["object"], one["created"], one["model"], one["system_fingerprint"]) for one in chunks}
    ((_, kind, _, model, fingerprint),) = heads
    assert (kind, model) == ("chat.completion.chunk", "demo")
    assert fingerprint.startswith("b")


def test_usage_comes_last_only_if_asked_for_and_others_then_have_none() -> None:
    assert all("usage" not in one for one in chunks_of(streamed(encoder(), HELLO))[:-1])
    *chunks, last, done = chunks_of(streamed(encoder(usage=True), HELLO))
    assert done == "[DONE]"
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 12,
        "completion_tokens": 5,
        "total_tokens": 17,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    assert all(one["usage"] is None for one in chunks)


def test_the_sdk_assembles_what_the_whole_answer_is() -> None:
    message = assembled(streamed(encoder(), TURN)).choices[0].message
    answer = whole(encoder(), TURN)
    spelled = answer["choices"][0]
    assert message.content == spelled["message"]["content"] == "I read it."
    assert message.reasoning_content == spelled["message"]["reasoning_content"] == "Let me see."
    assert [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls] == [
        ("call_1", "read", '{"path": "a"}'),
        ("call_2", "now", "{}"),
    ]
    assert [call["function"]["arguments"] for call in spelled["message"]["tool_calls"]] == ['{"path": "a"}', "{}"]
    assert message.role == "assistant"
    assert spelled["finish_reason"] == "tool_calls"
    assert answer["usage"]["completion_tokens_details"] == {"reasoning_tokens": 2}


def test_content_is_null_beside_calls_and_empty_where_there_is_nothing() -> None:
    only_calls = (STARTED, *TURN[5:9], end(num_calls=1))
    assert whole(encoder(), only_calls)["choices"][0]["message"]["content"] is None
    assert whole(encoder(), (STARTED, end()))["choices"][0]["message"] == {"role": "assistant", "content": ""}


def test_roles_of_all_choices_come_in_order_before_any_text() -> None:
    """Accumulators take choices as they come, and stumble over the second one before the first."""
    events = (Started(1, 12, 4), Content(1, "B"), STARTED, Content(0, "A"), end(), End(1, FinishReason.STOP, TIMINGS))
    sent = streamed(encoder(2, usage=True), events)
    chunks = chunks_of(sent)
    assert [one["choices"][0]["index"] for one in chunks[:3]] == [0, 1, 1]
    completion = assembled(sent)
    assert [choice.message.content for choice in completion.choices] == ["A", "B"]
    assert [choice.finish_reason for choice in completion.choices] == ["stop", "stop"]
    assert completion.usage.completion_tokens == 10
    assert completion.usage.prompt_tokens == 12  # of the one prompt


@pytest.mark.parametrize(
    ("reason", "num_calls", "spelled"),
    [
        (FinishReason.STOP, 0, "stop"),
        (FinishReason.STOP, 1, "tool_calls"),
        (FinishReason.LENGTH, 0, "length"),
        (FinishReason.LENGTH, 1, "length"),
        (FinishReason.CONTEXT, 0, "length"),
        (FinishReason.CANCELLED, 0, "stop"),
    ],
)
def test_reasons_to_finish(reason: FinishReason, num_calls: int, spelled: str) -> None:
    (_, last, _) = chunks_of(streamed(encoder(), (STARTED, end(reason, num_calls=num_calls))))
    assert last["choices"][0]["finish_reason"] == spelled


def test_a_failure_is_an_event_and_nothing_comes_after_it() -> None:
    events = (STARTED, Content(0, "Hel"), Failed(0, StageLostError("stage 1: it died; ask again")))
    sent = streamed(encoder(usage=True), events)
    last = chunks_of(sent)[-1]
    assert (last["error"]["type"], last["error"]["message"]) == ("server_error", "stage 1: it died; ask again")
    with pytest.raises(openai.APIError, match="stage 1: it died"):
        assembled(sent)


def test_logprobs_go_with_their_text() -> None:
    drawn = TokenLogprob(1, -0.5, ((1, -0.5), (2, -1.0)))
    events = (STARTED, Content(0, " hi", (drawn,)), end())
    (_, chunk, *_) = chunks_of(streamed(encoder(logprobs=True), events))
    (entry,) = chunk["choices"][0]["logprobs"]["content"]
    assert entry["token"] == " hi"
    assert entry["bytes"] == list(b" hi")
    assert [top["bytes"] for top in entry["top_logprobs"]] == [list(b" hi"), [0xC3]]
    assert chunk["choices"][0]["logprobs"]["refusal"] is None
    (spelled,) = whole(encoder(logprobs=True), events)["choices"]
    assert spelled["logprobs"]["content"] == [entry]
    assert chunks_of(streamed(encoder(), events))[1]["choices"][0]["logprobs"] is None


def test_old_functions_are_answered_in_their_own_way() -> None:
    made = encoder(old_calls=True)
    chunks = chunks_of(streamed(made, (STARTED, *TURN[5:9], end(num_calls=1))))
    deltas = [one["choices"][0]["delta"] for one in chunks[1:-2]]
    assert [delta["function_call"] for delta in deltas] == [
        {"name": "read", "arguments": ""},
        {"arguments": '{"path"'},
        {"arguments": ': "a"}'},
    ]
    assert chunks[-2]["choices"][0]["finish_reason"] == "function_call"


def test_progress_has_no_choices_so_that_it_is_nobodys_first_token() -> None:
    events = (PromptProgress(0, 4, 12), PromptProgress(0, 8, 12), STARTED, Content(0, "A"), end())
    chunks = chunks_of(streamed(encoder(), events))
    reports = [one["prompt_progress"] for one in chunks[:-1] if "prompt_progress" in one]
    assert [(one["cache"], one["processed"], one["total"]) for one in reports] == [(4, 4, 12), (4, 8, 12), (4, 12, 12)]
    assert all(one["choices"] == [] for one in chunks[:3])


def test_usage_and_timings_may_run_along() -> None:
    drawn = (TokenLogprob(1, -0.5),)
    events = (STARTED, Content(0, "A", drawn), Content(0, "B", drawn), end())
    chunks = chunks_of(streamed(encoder(running_usage=True, running_timings=True), events))
    assert [one["usage"]["completion_tokens"] for one in chunks[1:4]] == [1, 2, 5]
    assert [one["timings"]["predicted_n"] for one in chunks[1:4]] == [1, 2, 5]


def test_timings_tell_of_drafts_where_there_were_some() -> None:
    assert "draft_n" not in timings(Timings(num_tokens=9))
    told = timings(Timings(num_tokens=9, num_drafted=8, num_accepted=6))
    assert (told["draft_n"], told["draft_n_accepted"]) == (8, 6)
