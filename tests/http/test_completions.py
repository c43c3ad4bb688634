"""Prompts that are no chats: OpenAI's completions and llama-server's, over real stages."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

import cluster
from tests.fakes.wire_backends import wait_until
from tests.http.serving import Served

pytestmark = pytest.mark.native
conformance = pytest.mark.conformance
GREEDY: dict[str, Any] = {"temperature": 0.0, "max_tokens": 12}


@pytest.fixture
def client(served: Served) -> OpenAI:
    return OpenAI(api_key="none", base_url=f"{served.url}/v1", max_retries=0)


@pytest.fixture(scope="module")
def told(served: Served) -> cluster.Completion:
    """What the client in Python is told."""
    assert served.endpoint.secret is not None
    with cluster.connect(served.endpoint.address, served.endpoint.secret.text) as ours:
        return ours.generate("Once upon", parse_special=True, **GREEDY)


def test_it_says_what_the_python_client_is_told(client: OpenAI, told: cluster.Completion) -> None:
    answer = client.completions.create(model="any", prompt="Once upon", **GREEDY)
    (choice,) = answer.choices
    assert (choice.text, choice.finish_reason, choice.logprobs) == (told.text, "length", None)
    assert answer.id.startswith("cmpl-")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 12
    assert answer.usage.prompt_tokens == told.timings.num_prompt_tokens
    assert answer.system_fingerprint is not None
    assert answer.system_fingerprint.startswith("b")


def test_streamed_it_says_the_same(served: Served, client: OpenAI, told: cluster.Completion) -> None:
    options: Any = {"include_usage": True}
    chunks = list(
        client.completions.create(model="any", prompt="Once upon", stream=True, stream_options=options, **GREEDY)
    )
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == told.text
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 2) + ["length"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 12
    answer = served.post("/v1/completions", {"prompt": "Once upon", "stream": True, **GREEDY})
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-cache"
    events = answer.events()
    assert events[-1] == "[DONE]"
    assert all("usage" not in event for event in events[:-1])


@conformance(row=25, client="openai")
def test_several_prompts_and_choices_come_in_order(served: Served, client: OpenAI, told: cluster.Completion) -> None:
    prompts = ["Once upon", "The fox"]
    alone = [client.completions.create(model="any", prompt=prompt, **GREEDY).choices[0].text for prompt in prompts]
    answer = client.completions.create(model="any", prompt=prompts, n=2, **GREEDY)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert [choice.text for choice in answer.choices] == [alone[0], alone[0], alone[1], alone[1]]
    ids = served.post("/tokenize", {"content": "Once upon", "add_special": True}).json()["tokens"]
    for given in (ids, [ids], [ids, ids]):
        answer = client.completions.create(model="any", prompt=given, **GREEDY)
        assert {choice.text for choice in answer.choices} == {told.text}
    seeds = client.completions.create(model="any", prompt="Once", n=2, seed=5, temperature=1.5, max_tokens=12)
    assert seeds.choices[0].text != seeds.choices[1].text
    first = client.completions.create(model="any", prompt="Once", seed=6, temperature=1.5, max_tokens=12)
    assert first.choices[0].text == seeds.choices[1].text


def test_stop_strings(client: OpenAI, told: cluster.Completion) -> None:
    stop = told.text[5:9]
    answer = client.completions.create(model="any", prompt="Once upon", stop=stop, **GREEDY)
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == (told.text.partition(stop)[0], "stop")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", None),
        ("prompt", 5),
        ("prompt", []),
        ("prompt", [[1, "a"]]),
        ("prompt", [1 << 40]),
        ("prompt", [99999]),
        ("prompt", "a b " * 3000),
        ("max_tokens", "many"),
        ("max_tokens", -7),
        ("max_tokens", 10**12),
        ("temperature", -1),
        ("temperature", "hot"),
        ("top_p", 7),
        ("top_k", -5),
        ("n", 0),
        ("n", 10**9),
        ("logprobs", 10**6),
        ("best_of", 3),
        ("suffix", "end"),
        ("stop", ["x"] * 10_000),
        ("stop", 5),
        ("stream", "yes"),
        ("stream_options", []),
        ("seed", 1.5),
        ("logit_bias", {"a": 1}),
        ("logit_bias", {"1": "much"}),
        ("logit_bias", 7),
        ("grammar", "root ::= ("),
        ("response_format", {"type": "poem"}),
    ],
)
def test_a_wrong_value_is_a_400_that_names_the_field(served: Served, field: str, value: Any) -> None:
    body = {"prompt": "Once", "max_tokens": 4} | {field: value}
    answer = served.post("/v1/completions", body)
    assert answer.status == 400, answer.content
    error = answer.json()["error"]
    assert error["message"].startswith(field) or error["type"] == "exceed_context_size_error", error
    assert error["param"].startswith(field) or error["type"] == "exceed_context_size_error", error


def test_a_prompt_that_does_not_fit(client: OpenAI) -> None:
    """Too many bytes to be counted, and too many tokens."""
    for prompt in ("a b " * 3000, "a b c " * 300, "a b c " * 100_000):
        with pytest.raises(BadRequestError) as caught:
            client.completions.create(model="any", prompt=prompt, stream=True)
        error: Any = caught.value.body
        assert error["type"] == "exceed_context_size_error"
        assert error["code"] == "context_length_exceeded"
        assert error["n_prompt_tokens"] > error["n_ctx"] == 512
        assert "maximum context length is 512 tokens" in error["message"]


@conformance(row=42, client="curl")
def test_fields_that_are_not_known_are_passed_over(served: Served) -> None:
    body = {"prompt": "Once", "max_tokens": 2, "user": "me", "no_such_field": {"a": [1]}}
    assert served.post("/v1/completions", body).status == 200


def test_llama_servers_own(served: Served, told: cluster.Completion) -> None:
    body = {"prompt": "Once upon", "temperature": 0, "n_predict": 12}
    answer = served.post("/completion", body).json()
    assert (answer["content"], answer["stop"], answer["stop_type"]) == (told.text, True, "limit")
    assert answer["tokens"] == []
    assert answer["timings"]["predicted_n"] == answer["tokens_predicted"] == 12
    assert answer["generation_settings"]["n_predict"] == 12
    assert served.post("/completion", body | {"return_tokens": True}).json()["tokens"] == list(told.token_ids)
    some = served.post("/completion", body | {"response_fields": ["content", "generation_settings/n_predict"]}).json()
    assert some == {"content": told.text, "n_predict": 12}
    several = served.post("/completion", body | {"prompt": ["Once upon"]}).json()
    assert [one["content"] for one in several] == [told.text]
    events = served.post("/completion", body | {"stream": True}).events()
    assert "".join(event["content"] for event in events) == told.text
    assert [token for event in events for token in event["tokens"]] == list(told.token_ids)
    assert [event["stop"] for event in events] == [False] * (len(events) - 1) + [True]
    stop = told.text[5:9]
    answer = served.post("/completion", body | {"stop": [stop]}).json()
    assert (answer["stop_type"], answer["stopping_word"]) == ("word", stop)


@conformance(row=46, client="curl")
def test_a_client_that_goes_takes_its_request_along(served: Served) -> None:
    """Streamed or not, running or waiting: what it asked for ends with its connection."""
    body = b'{"prompt": "Once", "ignore_eos": true, "max_tokens": 400, "stream": %s}'
    host, _, port = served.host.partition(":")
    for is_streamed in (b"true", b"false"):
        connections = []
        for _ in range(served.num_slots + 3):  # some of them wait
            sent = body % is_streamed
            connection = socket.create_connection((host, int(port)))
            connection.sendall(
                b"POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\n\r\n%s" % (len(sent), sent)
            )
            connections.append(connection)
        wait_until(lambda: served.coordinator.status().num_waiting >= 3, 10)
        for connection in connections:
            connection.close()
        served.wait_idle()


def test_an_answer_is_cancelled_by_its_name(served: Served) -> None:
    body = {"prompt": "Once", "ignore_eos": True, "max_tokens": 450}
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(served.post, "/v1/completions", body, x_request_id="to-be-cancelled")
        wait_until(lambda: served.post("/v1/cancel/to-be-cancelled", {}).status == 200, 10)
        answer = asked.result(10)
    assert answer.status == 200
    assert answer.json()["choices"][0]["finish_reason"] == "stop"
    assert answer.json()["usage"]["completion_tokens"] < 450
    assert served.post("/v1/cancel/to-be-cancelled", {}).status == 404
    served.wait_idle()
