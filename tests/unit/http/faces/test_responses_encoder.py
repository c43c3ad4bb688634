"""Events of the Responses API, as openai-python reads them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cluster.api.errors import StageLostError
from cluster.api.results import FinishReason
from cluster.chat.events import (
    CallArguments,
    CallBegin,
    CallEnd,
    ChatEvent,
    Content,
    Failed,
    PromptProgress,
    Reasoning,
    TokenLogprob,
)
from cluster.http.faces.face import Asked
from cluster.http.faces.responses.face import ResponsesFace
from cluster.http.faces.responses.store import ResponseStore
from tests.unit.http.faces.kit import SERVED, STARTED, end, events_of, openai_client, streamed

NAMESPACE = {
    "type": "namespace",
    "name": "files",
    "description": "Files",
    "tools": [{"type": "function", "name": "read", "parameters": {"type": "object", "properties": {}}}],
}
TURN: tuple[ChatEvent, ...] = (
    STARTED,
    Reasoning(0, "Let me "),
    Reasoning(0, "see."),
    Content(0, "I will "),
    Content(0, "read it."),
    CallBegin(0, 0, "call_1", "files__read"),
    CallArguments(0, 0, '{"path"'),
    CallArguments(0, 0, ': "a"}'),
    CallEnd(0, 0),
    CallBegin(0, 1, "call_2", "other"),
    CallArguments(0, 1, "{}"),
    CallEnd(0, 1),
    end(num_reasoning_tokens=2, num_calls=2),
)


def asked(memory: ResponseStore | None = None, **body: Any) -> Asked:
    face = ResponsesFace(ResponseStore() if memory is None else memory, now_s=lambda: 1.5e9, new_id=lambda: "abc")
    return face.parse({"model": "m", "input": "hello", "stream": True, **body}, SERVED, "req_1")


def test_every_event_has_its_number_and_its_place() -> None:
    events = events_of(streamed(asked(tools=[NAMESPACE]).encoder, TURN))
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    for event in events:
        if ".output_text." in event["type"] or ".content_part." in event["type"] or ".reasoning_text." in event["type"]:
            assert {"item_id", "output_index", "content_index"} <= event.keys()
        if "arguments" in event["type"]:
            assert {"item_id", "output_index"} <= event.keys()


def test_the_items_that_were_done_are_those_of_the_whole_response() -> None:
    events = events_of(streamed(asked(tools=[NAMESPACE]).encoder, TURN))
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    added = [event["item"]["id"] for event in events if event["type"] == "response.output_item.added"]
    final = events[-1]["response"]
    assert final["output"] == done
    assert [item["id"] for item in done] == added
    assert len(set(added)) == 4
    assert final["usage"] == {
        "input_tokens": 12,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 17,
    }


def test_the_sdk_assembles_the_stream_to_what_a_whole_answer_is() -> None:
    encoder = asked(tools=[NAMESPACE]).encoder
    client = openai_client(streamed(encoder, TURN))
    with client.responses.stream(model="m", input="hello") as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert deltas == ["I will ", "read it."]
    assert final.output_text == "I will read it."
    reasoning, message, call, other = final.output
    assert reasoning.type == "reasoning"
    assert reasoning.content is not None
    assert reasoning.content[0].text == "Let me see."
    assert message.type == "message"
    assert call.type == "function_call"
    assert (call.call_id, call.name, call.namespace, call.arguments) == ("call_1", "read", "files", '{"path": "a"}')
    assert other.type == "function_call"
    assert (other.name, other.namespace) == ("other", None)
    assert [item["id"] for item in final.to_dict()["output"]] == [item["id"] for item in encoder.whole()["output"]]  # type: ignore[attr-defined]

    whole = openai_client(json.dumps(encoder.whole()).encode(), "application/json")
    assert whole.responses.create(model="m", input="hello").output_text == "I will read it."


def test_an_answer_that_was_cut_off_is_incomplete_and_so_is_its_last_item() -> None:
    events = events_of(streamed(asked().encoder, (STARTED, Content(0, "Once"), end(FinishReason.LENGTH))))
    last = events[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert last["response"]["output"][0]["status"] == "incomplete"


def test_a_failure_is_the_last_event_and_keeps_what_there_is() -> None:
    failed = Failed(0, StageLostError("stage 1: it died; ask again"))
    sent = streamed(asked().encoder, (STARTED, Content(0, "Once"), failed))
    last = events_of(sent)[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["error"]["message"] == "stage 1: it died; ask again"
    assert last["response"]["output"][0]["content"][0]["text"] == "Once"
    with (
        openai_client(sent).responses.stream(model="m", input="hello") as stream,
        pytest.raises(Exception, match=r"response\.(completed|failed)|stage 1"),
    ):
        stream.get_final_response()


def test_while_nothing_comes_the_response_is_said_to_be_in_progress() -> None:
    encoder = asked().encoder
    events: tuple[ChatEvent, ...] = (STARTED, Content(0, "x"), end())
    sent = encoder.open() + encoder.keep_alive() + b"".join(map(encoder.push, events))
    kinds = [event["type"] for event in events_of(sent)]
    assert kinds[:3] == ["response.created", "response.in_progress", "response.in_progress"]
    with openai_client(sent).responses.stream(model="m", input="hello") as stream:
        assert stream.get_final_response().output_text == "x"


def test_how_far_the_prompt_is_comes_as_llama_server_tells_it() -> None:
    assert asked(return_progress=True).report_progress
    assert not asked(return_progress=True, stream=False).report_progress
    events = (STARTED, PromptProgress(0, 8, 12), Content(0, "x"), end())
    told = events_of(streamed(asked(return_progress=True).encoder, events))
    progress = [event for event in told if "prompt_progress" in event]
    assert [event["type"] for event in progress] == ["response.in_progress"]
    assert progress[0]["prompt_progress"] == {"total": 12, "cache": 4, "processed": 8}
    assert told[-1]["timings"]["predicted_n"] == 5


def test_log_probabilities_come_with_their_text_where_they_are_asked_for() -> None:
    logprobs = (TokenLogprob(1, -0.5, ((1, -0.5), (2, -1.5))),)
    body: dict[str, Any] = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
    events = events_of(streamed(asked(**body).encoder, (STARTED, Content(0, " hi", logprobs), end())))
    (delta,) = [event for event in events if event["type"] == "response.output_text.delta"]
    drawn, other = {"token": " hi", "logprob": -0.5, "bytes": [32, 104, 105]}, {"logprob": -1.5, "bytes": [195]}
    assert delta["logprobs"] == [{**drawn, "top_logprobs": [drawn, {"token": "\ufffd", **other}]}]
    assert events[-1]["response"]["output"][0]["content"][0]["logprobs"] == delta["logprobs"]


def test_a_finished_answer_is_remembered_with_its_conversation() -> None:
    store = ResponseStore()
    streamed(asked(store).encoder, (STARTED, Content(0, "Hi."), end()))
    request = asked(store, input="and now?", previous_response_id="resp_abc").request
    assert [(message.role, message.content) for message in request.messages] == [  # type: ignore[union-attr]
        ("user", "hello"),
        ("assistant", "Hi."),
        ("user", "and now?"),
    ]


def test_one_that_is_not_to_be_stored_or_that_failed_is_not() -> None:
    store = ResponseStore()
    streamed(asked(store, store=False).encoder, (STARTED, Content(0, "Hi."), end()))
    streamed(asked(store).encoder, (STARTED, Failed(0, StageLostError("stage 1: it died; ask again"))))
    assert len(store) == 0
