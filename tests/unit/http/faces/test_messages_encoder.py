"""Events of the Messages API, as anthropic-python reads them."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest

from cluster.api.errors import StageLostError
from cluster.api.results import FinishReason
from cluster.chat.events import CallArguments, CallBegin, CallEnd, ChatEvent, Content, Failed, Reasoning
from cluster.http.faces.messages.encoder import MessagesEncoder
from tests.unit.http.faces.kit import STARTED, anthropic_client, end, events_of, streamed

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
    CallEnd(0, 1),
    end(num_reasoning_tokens=2, num_calls=2),
)


def encoder() -> MessagesEncoder:
    return MessagesEncoder("msg_1", "demo")


def assembled(sent: bytes) -> anthropic.types.Message:
    with anthropic_client(sent).messages.stream(
        model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
    ) as stream:
        return stream.get_final_message()


def test_blocks_are_numbered_without_gaps_and_one_is_open_at_a_time() -> None:
    events = events_of(streamed(encoder(), TURN))
    assert [event["type"] for event in events[:2]] == ["message_start", "ping"]
    assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]
    is_open, index = False, -1
    for event in events[2:-2]:
        if event["type"] == "content_block_start":
            assert not is_open
            index += 1
        assert event["index"] == index
        is_open = event["type"] != "content_block_stop"
    assert index == 3
    assert not is_open


def test_the_sdk_assembles_the_stream_to_what_a_whole_answer_is() -> None:
    made = encoder()
    message = assembled(streamed(made, TURN))
    thinking, text, read, now = message.content
    assert thinking.type == "thinking"
    assert thinking.thinking == "Let me see."
    assert thinking.signature
    assert text.type == "text"
    assert text.text == "I read it."
    assert read.type == "tool_use"
    assert (read.id, read.name, read.input) == ("toolu_1", "read", {"path": "a"})
    assert now.type == "tool_use"
    assert now.input == {}
    assert message.stop_reason == "tool_use"
    whole = anthropic_client(json.dumps(made.whole()).encode(), "application/json").messages.create(
        model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
    )
    assert [block.type for block in whole.content] == [block.type for block in message.content]
    assert whole.content[2:] == message.content[2:]
    assert whole.usage == message.usage


def test_cached_tokens_are_counted_apart_and_known_at_the_start() -> None:
    events = events_of(streamed(encoder(), TURN))
    usage = events[0]["message"]["usage"]
    assert usage == {
        "input_tokens": 8,
        "cache_read_input_tokens": 4,
        "cache_creation_input_tokens": 0,
        "output_tokens": 0,
    }
    assert events[-2]["usage"] == {**usage, "output_tokens": 5}


@pytest.mark.parametrize(
    ("reason", "more", "stop_reason", "stop_sequence"),
    [
        (FinishReason.STOP, {}, "end_turn", None),
        (FinishReason.STOP, {"stop_string": "END"}, "stop_sequence", "END"),
        (FinishReason.STOP, {"num_calls": 1}, "tool_use", None),
        (FinishReason.LENGTH, {"num_calls": 1}, "max_tokens", None),
        (FinishReason.CONTEXT, {}, "model_context_window_exceeded", None),
    ],
)
def test_why_it_ended(reason: FinishReason, more: dict[str, Any], stop_reason: str, stop_sequence: str | None) -> None:
    message = assembled(streamed(encoder(), (STARTED, Content(0, "x"), end(reason, **more))))
    assert (message.stop_reason, message.stop_sequence) == (stop_reason, stop_sequence)


def test_a_call_that_was_cut_off_is_sent_as_far_as_it_came_and_never_repaired() -> None:
    made = encoder()
    cut = (STARTED, CallBegin(0, 0, "call_1", "read"), CallArguments(0, 0, '{"path": "a'), end(FinishReason.LENGTH))
    events = events_of(streamed(made, cut))
    deltas = [event["delta"]["partial_json"] for event in events if event["type"] == "content_block_delta"]
    assert deltas == ['{"path": "a']
    assert made.whole()["content"][0]["input"] == {}
    assert made.whole()["content"][0]["partial_json"] == '{"path": "a'


@pytest.mark.parametrize("events", [(), (STARTED, Content(0, "Once"))])
def test_a_failure_is_an_event_that_the_sdk_raises(events: tuple[ChatEvent, ...]) -> None:
    failed = Failed(0, StageLostError("stage 1: it died; ask again"))
    with pytest.raises(anthropic.APIStatusError, match="stage 1: it died") as raised:
        assembled(streamed(encoder(), (*events, failed)))
    assert raised.value.body == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "stage 1: it died; ask again"},
    }


def test_what_is_sent_in_silence_may_come_before_the_message() -> None:
    made = encoder()
    sent = made.keep_alive() + streamed(made, (STARTED, Content(0, "x"), end()))
    assert assembled(sent).content[0].to_dict() == {"type": "text", "text": "x"}
