"""The client against a real server: every method, every kind of prompt, every way to fail."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cluster
from cluster import Completion, SamplingParams
from cluster.api.errors import CapacityError, StageLostError, UnreachableError, UnsupportedModelError, UsageError
from cluster.api.prompt import Segment
from cluster.api.results import FinishReason, Timings, TokenEvent
from cluster.client import calls
from cluster.client.completion import Completions
from cluster.client.stream import Messages
from cluster.client.sync import Client
from cluster.wire import limits
from cluster.wire.access.endpoint import Listener
from cluster.wire.inference.server import InferenceServer
from cluster.wire.transport.channel import CONNECT_TIMEOUT_MS
from tests.fakes.wire_backends import SECRET, VOCAB_SIZE, EchoCluster, no_thread_left


@dataclass
class Served:
    backend: EchoCluster
    server: InferenceServer
    client: Client


@pytest.fixture
def served() -> Iterator[Served]:
    with no_thread_left():
        backend = EchoCluster()
        server = InferenceServer(backend, Listener(SECRET))
        with cluster.connect(server.start(), SECRET.text) as client:
            yield Served(backend, server, client)
        server.stop()
        backend.join()


def test_generate_text(served: Served) -> None:
    completion = served.client.generate("hello", SamplingParams(max_tokens=4, logprobs=2), seed=9)
    assert completion.text == "hell"
    assert completion.token_ids == tuple(b"hell")
    assert completion.logprobs == (-0.5,) * 4
    assert completion.finish_reason is FinishReason.STOP
    assert completion.timings.num_tokens == 4
    assert completion.timings.decode_ms == 1.5
    assert completion.top_logprobs[0] == ((104, -0.5), (104, -0.5))
    assert served.backend.params == [SamplingParams(max_tokens=4, logprobs=2, seed=9)]


@pytest.mark.parametrize("prompt", [[104, 105], (104, 105), np.array([104, 105]), np.array([104, 105], np.uint8)])
def test_generate_from_token_ids(served: Served, prompt: Any) -> None:
    completion = served.client.generate(prompt)
    assert completion.text == "hi"
    assert completion.top_logprobs == ()


@pytest.mark.parametrize(
    ("prompts", "texts"),
    [
        (["a", "bc", "def"], ["a", "bc", "def"]),
        ([[97], [98, 99]], ["a", "bc"]),
        (("a", [98, 99]), ["a", "bc"]),
        (np.array([[97, 98], [99, 100]]), ["ab", "cd"]),
        ([np.array([97])], ["a"]),
        ([], []),
    ],
)
def test_generate_a_list_of_prompts(served: Served, prompts: Any, texts: list[str]) -> None:
    assert [completion.text for completion in served.client.generate(prompts)] == texts


@pytest.mark.parametrize(
    "prompt",
    [
        np.array([104, 105], np.uint16),
        [np.int64(104), np.uint8(105)],
        [np.array(104), 105],
        (np.int32(104), 105),
        np.array([104, 105], np.int64)[::-1][::-1],
    ],
)
def test_token_ids_and_parameters_may_be_numpys(served: Served, prompt: Any) -> None:
    found = served.client.generate(prompt, max_tokens=np.int64(2), temperature=np.float32(0.5), seed=np.array(7))
    assert found.text == "hi"
    assert served.backend.params[-1] == cluster.SamplingParams(max_tokens=2, temperature=0.5, seed=7)
    assert served.client.detokenize(prompt) == "hi"
    assert served.client.logits(prompt).shape == (2, VOCAB_SIZE)


def test_an_array_of_texts_is_several_prompts(served: Served) -> None:
    assert [found.text for found in served.client.generate(np.array(["a", "bc"]))] == ["a", "bc"]


def test_stream_yields_events_as_they_come(served: Served) -> None:
    served.backend.pause_s = 0.05
    with served.client.stream("abc") as stream:
        events = list(stream)
    assert [event.text for event in events] == ["a", "b", "c", ""]
    assert events[-1].finish_reason is FinishReason.STOP
    assert next(stream, None) is None


def test_generate_gets_one_message_and_a_stream_several(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.backend.pause_s = 0.02
    messages: list[bytes] = []
    next_message = Messages.__next__

    def counting(stream: Messages) -> bytes:
        messages.append(next_message(stream))
        return messages[-1]

    monkeypatch.setattr(Messages, "__next__", counting)
    completion = served.client.generate("abcdef", logprobs=2)
    assert len(messages) == 1
    events = list(served.client.stream("abcdef", logprobs=2))
    assert Completions(1).add({0: events}) == [(0, completion)]
    assert len(messages) > 1 + 3


def test_prompts_that_are_sent_together_are_one_call(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    complete_call = calls.complete_call

    def counting(requests: list[calls.GenerateRequest]) -> Any:
        sizes.append(len(requests))
        return complete_call(requests)

    monkeypatch.setattr(calls, "complete_call", counting)
    assert [one.text for one in served.client.generate(["abc", "def", "g"])] == ["abc", "def", "g"]
    assert sizes == [3]
    monkeypatch.setattr(limits, "PART_BYTES", 10)
    assert [one.text for one in served.client.generate(["abc" * 9, "def" * 9, "g"])] == ["abc" * 9, "def" * 9, "g"]
    assert sizes == [3, 1, 1, 1]


def test_requests_that_are_not_answered_end_with_the_call() -> None:
    completions = Completions(3)
    ended = Timings(num_tokens=1)
    assert completions.add({1: [TokenEvent(5, "x")], 2: [CapacityError("queue: full")]})[0][0] == 2
    with pytest.raises(UsageError, match="more for request 2"):
        completions.add({2: [TokenEvent(5, "x")]})
    ((_, outcome),) = completions.add({1: [TokenEvent(None, "y", finish_reason=FinishReason.STOP, timings=ended)]})
    assert isinstance(outcome, Completion)
    assert (outcome.text, outcome.token_ids) == ("xy", (5,))
    ((request, error),) = completions.end()
    assert (request, type(error)) == (0, UnreachableError)
    assert Completions(1).end(CapacityError("queue: full"))[0][1].args == ("queue: full",)  # type: ignore[union-attr]


def test_closing_a_stream_cancels(served: Served) -> None:
    stream = served.client.stream("wait")
    assert next(stream).text == "w"
    assert not served.backend.cancelled.is_set()
    stream.close()
    assert served.backend.cancelled.wait(5)
    assert list(stream) == []
    stream.close()


def test_leaving_a_with_block_cancels(served: Served) -> None:
    with served.client.stream("wait") as stream:
        next(stream)
    assert served.backend.cancelled.wait(5)


def test_dropping_a_stream_cancels(served: Served) -> None:
    for _ in served.client.stream("wait"):
        break
    assert served.backend.cancelled.wait(5)


def test_closing_the_client_cancels(served: Served) -> None:
    stream = served.client.stream("wait")
    next(stream)
    served.client.close()
    assert served.backend.cancelled.wait(5)
    with pytest.raises(UsageError, match="client: it is closed"):
        served.client.status()
    with pytest.raises(UsageError, match="client: it is closed"):
        served.client.generate("a")


def test_a_stream_closed_by_another_thread_ends(served: Served) -> None:
    stream = served.client.stream("wait")
    next(stream)
    closer = threading.Timer(0.1, stream.close)
    closer.start()
    assert list(stream) == []
    closer.join()


def test_logits(served: Served) -> None:
    logits = served.client.logits([3, 1, 4, 1, 5])
    assert logits.shape == (5, VOCAB_SIZE)
    assert logits.dtype == np.float32
    wanted = np.array([3, 1, 4, 1, 5], np.float32)[:, None] + np.arange(VOCAB_SIZE, dtype=np.float32) / 128
    np.testing.assert_array_equal(logits, wanted)


def test_embeddings_come_in_order_in_the_shape_that_was_asked_for(served: Served) -> None:
    found = served.client.embed([[3, 4], *([n] for n in range(1, 20))], normalize=False)
    assert found.vectors.tolist() == [[3, 4, 0, 0], *([n, 0, 0, 0] for n in range(1, 20))]
    assert found.num_prompt_tokens == (2, *[1] * 19)
    one = served.client.embed("ab")  # BOS is 1
    np.testing.assert_allclose(one.vectors, np.array([[1, 97, 98, 0]]) / np.sqrt(1 + 97**2 + 98**2), rtol=1e-6)
    assert served.client.embed([3, 4], dimensions=1).vectors.tolist() == [[1]]
    assert served.client.embed([0, 0]).vectors.tolist() == [[0, 0, 0, 0]]


def test_documents_are_scored_in_their_order(served: Served) -> None:
    found = served.client.rerank("a", ["b", "ab"])
    assert found.scores.tolist() == [97 + 98, 97 + 97 + 98]
    assert found.num_prompt_tokens == (3, 4)
    wrong: list[tuple[Any, Any, str]] = [("a", [], "there are none"), (5, ["b"], "query: int"), ("a", "b", "no list")]
    for query, documents, text in wrong:
        with pytest.raises(UsageError, match=text):
            served.client.rerank(query, documents)


@pytest.mark.parametrize(
    ("inputs", "given", "text"),
    [
        ([], {}, "inputs: there are none"),
        (5, {}, "inputs: 'int' object is not iterable"),
        ([[1], [True]], {}, "inputs: 'bool' object is no token id"),
        ("a", {"dimensions": 5}, "dimensions: 5; the model's vectors have 4"),
        ("a", {"dimensions": 0}, "dimensions: 0"),
        ("a", {"pooling": "max"}, "pooling: 'max' is unknown; give one of mean, cls, last"),
        ("a", {"pooling": "rank"}, "pooling: 'rank' is unknown"),
        ("a", {"normalize": 1}, "normalize: 1 is not a boolean"),
        ([[1]] * 2049, {}, "inputs: length 2049 is over the limit"),
        ([[1], []], {}, "inputs: empty"),
    ],
)
def test_embeddings_that_cannot_be(served: Served, inputs: Any, given: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        served.client.embed(inputs, **given)


def test_text_and_tokens(served: Served) -> None:
    assert served.client.tokenize("ab") == [1, 97, 98]
    assert served.client.tokenize("ab", add_special=False, parse_special=True) == [2, 97, 98]
    assert served.client.detokenize(np.array([97, 98])) == "ab"


def test_a_text_in_segments(served: Served) -> None:
    segments = (Segment("a"), Segment("b", parse_special=True), Segment("c"))
    assert served.client.tokenize(segments) == [1, 97, 2, 98, 99]
    assert served.client.tokenize(segments, add_special=False) == [97, 2, 98, 99]
    assert served.client.generate(segments).text == "abc"
    assert [one.text for one in served.client.generate([segments, segments[:1]])] == ["abc", "a"]
    assert "".join(event.text for event in served.client.stream(segments, add_special=False)) == "abc"
    with pytest.raises(UsageError, match="parse_special: each segment of the prompt has its own"):
        served.client.generate(segments, parse_special=True)
    with pytest.raises(UsageError, match="prompt: 'b' is no Segment"):
        served.client.generate((Segment("a"), "b"))  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="text: list is no text"):
        served.client.tokenize(["b"])  # type: ignore[arg-type]


def test_the_model_and_its_tokens(served: Served) -> None:
    assert served.client.model() == served.backend.model()
    assert served.client.vocabulary() == served.backend.vocabulary()


def test_adapters_are_listed_and_rescaled(served: Served) -> None:
    assert served.client.adapters() == served.backend.model().adapters
    assert served.backend.scales is None
    for scales, told in (({1: 0.5}, ((1, 0.5),)), ({}, ())):
        assert served.client.adapters(scales) == served.backend.model().adapters
        assert served.backend.scales == told
    with pytest.raises(UsageError, match="scales: nan is not a finite number"):
        served.client.adapters({0: math.nan})
    served.client.generate("a", lora={0: 0.5})
    assert served.backend.params[-1].lora == ((0, 0.5),)
    with pytest.raises(UsageError, match="lora: 64 is out of range"):
        served.client.generate("a", lora={64: 0.5})


def test_status_and_intervals(served: Served) -> None:
    assert served.client.status() == served.backend.status()
    assert served.client.intervals() == list(served.backend.intervals())
    assert served.client.slots() == served.backend.slots()


@pytest.mark.parametrize(
    ("prompt", "kind", "text"),
    [
        ("full", CapacityError, "queue: 256 requests wait; ask again later"),
        ("lost", StageLostError, "stage 1 on node: it died; ask again"),
        ("unsupported", UnsupportedModelError, "architecture: x is unknown; take another"),
        ("", UsageError, "prompt: it is empty; give some text"),
    ],
)
def test_the_clusters_errors_keep_class_and_message(
    served: Served, prompt: str, kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind) as raised:
        served.client.generate(prompt)
    assert type(raised.value) is kind
    assert str(raised.value) == text


def test_tokens_before_a_loss_are_delivered(served: Served) -> None:
    stream = served.client.stream("lost")
    assert next(stream).text == "l"
    with pytest.raises(StageLostError):
        next(stream)


@pytest.mark.parametrize(
    ("arguments", "overrides", "text"),
    [
        (("a",), {"temprature": 1}, "temprature: no such sampling parameter; did you mean temperature?"),
        (("a",), {"zzz": 1}, "zzz: no such sampling parameter; give one of max_tokens, temperature"),
        (("a",), {"temperature": float("nan")}, "temperature: nan is not a finite number"),
        (([1.5],), {}, "prompt: 'float' object cannot be interpreted as an integer; give a list of whole"),
        (([1, "a"],), {}, "prompt: 'str' object"),
        ((b"bytes",), {}, "prompt: bytes is no list of token ids"),
        ((7,), {}, "prompt: 'int' object is not iterable"),
        (([-1],), {}, "prompt: -1 is no token id"),
        ((np.array([1.0]),), {}, "prompt: 'numpy.float64' object"),
        ((np.array(5),), {}, "prompt: iteration over a 0-d array"),
        ((np.int64(5),), {}, "prompt: 'numpy.int64' object is not iterable"),
        (([True, False],), {}, "prompt: 'bool' object is no token id"),
        (([np.True_],), {}, "prompt: 'numpy.bool' object cannot be interpreted as an integer"),
        ((np.array([True]),), {}, "prompt: 'numpy.bool' object cannot be interpreted as an integer"),
        (([np.array([1])],), {"top_k": np.float32(1)}, "top_k: "),
        (([np.uint64(2**63)],), {}, "prompt: 9223372036854775808 is no token id"),
    ],
)
def test_bad_arguments_are_refused_here(
    served: Served, arguments: tuple[Any, ...], overrides: dict[str, Any], text: str
) -> None:
    with pytest.raises(UsageError) as raised:
        served.client.generate(*arguments, **overrides)
    assert str(raised.value).startswith(text)
    assert not served.backend.params


def test_a_stream_takes_one_prompt(served: Served) -> None:
    with pytest.raises(UsageError, match="a stream takes one"):
        served.client.stream(["a", "b"])
    with pytest.raises(UsageError, match="token_ids: there are none"):
        served.client.logits([])


def test_nobody_at_the_address() -> None:
    with no_thread_left(), pytest.raises(UnreachableError) as raised:
        cluster.connect("127.0.0.1:1", SECRET.text)
    text = str(raised.value)
    assert text.startswith("cannot reach a cluster at 127.0.0.1:1: ")
    assert 'onnection refused; start one with "cluster up"' in text


def test_a_port_that_does_not_answer_gives_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    assert CONNECT_TIMEOUT_MS <= 5000
    monkeypatch.setattr("cluster.client.sync.CONNECT_TIMEOUT_MS", 300)
    start_s = time.monotonic()
    with no_thread_left(), socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UnreachableError, match=f"cannot reach a cluster at {address}"):
            cluster.connect(address, SECRET.text)
    # gRPC itself would try for twenty seconds; a machine with much else to do may need some of them.
    assert time.monotonic() - start_s < 15


def test_a_server_of_something_else() -> None:
    from concurrent.futures import ThreadPoolExecutor

    import grpc

    with ThreadPoolExecutor(1) as threads:
        server = grpc.server(threads)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with pytest.raises(UnreachableError, match="Method not found"):
            cluster.connect(f"127.0.0.1:{port}", SECRET.text)
        server.stop(0).wait()


def test_a_cluster_that_goes_down_ends_its_streams() -> None:
    backend = EchoCluster()
    with no_thread_left():
        server = InferenceServer(backend, Listener(SECRET))
        with cluster.connect(server.start(), SECRET.text) as client:
            stream = client.stream("wait")
            next(stream)
            server.stop()
            with pytest.raises(UnreachableError, match="the cluster is going down"):
                next(stream)
            with pytest.raises(UnreachableError, match="cannot reach a cluster"):
                client.status()
        backend.join()


def test_where_the_address_comes_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("CLUSTER_ADDRESS", raising=False)
    with pytest.raises(UnreachableError, match=r'no cluster: .*start one with "cluster up"'):
        cluster.connect()
    monkeypatch.setattr("cluster.client.own_home.read_address", lambda: "127.0.0.1:3")
    with Client() as client:
        assert client.address == "127.0.0.1:3"
    monkeypatch.setenv("CLUSTER_ADDRESS", "127.0.0.1:2")
    with Client() as client:
        assert client.address == "127.0.0.1:2"
    with Client("127.0.0.1:1") as client:
        assert client.address == "127.0.0.1:1"
    with pytest.raises(UsageError, match="'nonsense' is not host:port"):
        Client("nonsense")


def test_an_address_left_over_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UnreachableError, match=r"a cluster at 127\.0\.0\.1:1 \(CLUSTER_ADDRESS\): "):
        cluster.connect(secret=SECRET.text)
    with pytest.raises(UnreachableError, match=r"a cluster at 127\.0\.0\.1:2: "):
        cluster.connect("127.0.0.1:2", SECRET.text)
