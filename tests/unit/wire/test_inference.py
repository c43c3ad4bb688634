"""The inference server's own behaviour: limits, statuses, slow clients, and its end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import pytest

from cluster.api.errors import CapacityError, ClusterError, StageLostError, UnreachableError, UsageError
from cluster.api.results import TokenEvent
from cluster.api.sampling import SamplingParams
from cluster.messages.step import Float32Array
from cluster.wire import limits
from cluster.wire.access.endpoint import Listener
from cluster.wire.codec.answer import Output, decode_answers, decode_events
from cluster.wire.codec.inference import encode_generate
from cluster.wire.inference import mailbox, streams
from cluster.wire.inference.server import InferenceServer
from cluster.wire.transport.methods import method_path, serialize
from protos import inference_pb2, inference_pb2_grpc
from tests.fakes.wire_backends import (
    SECRET,
    VOCAB_SIZE,
    EchoCluster,
    Spelled,
    no_thread_left,
    open_proving_channel,
    wait_until,
)


@dataclass
class Served:
    backend: EchoCluster
    server: InferenceServer
    address: str


@pytest.fixture
def served() -> Iterator[Served]:
    with no_thread_left():
        backend = EchoCluster()
        server = InferenceServer(backend, Listener(SECRET))
        yield Served(backend, server, server.start())
        server.stop()
        backend.join()


def call(address: str, method: str, data: bytes) -> grpc.RpcError:
    """The error of a call with arbitrary bytes."""
    with open_proving_channel(address) as channel:
        with pytest.raises(grpc.RpcError) as raised:
            list(channel.unary_stream(f"/ggml_cluster.v1.Inference/{method}", None, None)(data))
        return raised.value


def test_generated_stubs_speak_to_the_server(served: Served) -> None:
    with open_proving_channel(served.address) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        replies = list(stub.Generate(inference_pb2.GenerateRequest(text="abc")))
        events = [event for reply in replies for event in reply.events]
        assert "".join(event.text for event in events) == "abc"
        assert events[-1].finish_reason == inference_pb2.FINISH_REASON_STOP
        assert list(stub.Tokenize(inference_pb2.TokenizeRequest(text="ab")).token_ids) == [97, 98]
    assert served.backend.params == [SamplingParams()]


@pytest.mark.parametrize(
    ("method", "data", "text"),
    [
        ("Generate", b"\xff\xff", "GenerateRequest: 2 bytes that are not such a message"),
        ("Generate", b"", "prompt: there is none"),
        ("Generate", b"\x0a\x02\xff\xfe", "GenerateRequest: 4 bytes"),  # text that is not UTF-8
        ("Complete", b"\xff\xff", "CompleteRequest: 2 bytes that are not such a message"),
        ("Complete", b"\x0a\x00" * 2049, "requests: length 2049 is over the limit"),
        (
            "Logits",
            inference_pb2.LogitsRequest(token_ids=[-5]).SerializeToString(),
            "token_ids: -5 is no token",
        ),
        ("Detokenize", inference_pb2.DetokenizeRequest(token_ids=[-5]).SerializeToString(), "token_ids: -5"),
    ],
)
def test_bad_requests_never_reach_the_backend(served: Served, method: str, data: bytes, text: str) -> None:
    error = call(served.address, method, data)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert text in error.details()
    assert ("cluster-error", "UsageError") in error.trailing_metadata()
    assert not served.backend.params


def test_oversize_request_is_refused(served: Served) -> None:
    unbounded = open_proving_channel(served.address, max_send_message_length=-1)
    with unbounded as channel, pytest.raises(grpc.RpcError) as raised:
        list(channel.unary_stream("/ggml_cluster.v1.Inference/Generate", None, None)(bytes(17 << 20)))
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("method", ["Generate", "Complete"])
def test_a_deadline_that_passes_cancels_the_request(served: Served, method: str) -> None:
    """It is not computed on for nobody."""
    request = inference_pb2.GenerateRequest(text="wait")
    message = request if method == "Generate" else inference_pb2.CompleteRequest(requests=[request])
    with open_proving_channel(served.address) as channel:
        call = channel.unary_stream(method_path("Inference", method), serialize, bytes)(message, timeout=2.0)
        wait_until(lambda: served.backend.num_open)  # what has not begun cannot be cancelled
        assert served.backend.cancelled.wait(10)
        assert call.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_client_that_goes_away_cancels_its_request(served: Served) -> None:
    with open_proving_channel(served.address) as channel:
        stream = inference_pb2_grpc.InferenceStub(channel).Generate(encode_generate("wait", SamplingParams()))
        next(stream)
        assert not served.backend.cancelled.is_set()
    assert served.backend.cancelled.wait(5)


def test_client_that_leaves_while_its_prompt_is_tokenised_starts_nothing() -> None:
    begun, left = threading.Event(), threading.Event()

    class NeverTokenises(EchoCluster):
        async def tokenize(self, *arguments: Any) -> list[int]:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                left.set()
            raise AssertionError("unreachable")

    backend = NeverTokenises()
    with no_thread_left():
        server = InferenceServer(backend, Listener(SECRET))
        with open_proving_channel(server.start()) as channel:
            stream = inference_pb2_grpc.InferenceStub(channel).Generate(encode_generate("wait", SamplingParams()))
            assert begun.wait(10)
            stream.cancel()
        assert left.wait(10)
        server.stop()
    assert not backend.params


def test_a_slow_client_does_not_hold_up_the_engine(served: Served) -> None:
    """The engine is rid of all events before the client reads on; few messages carry them."""
    prompt = [index % 128 for index in range(20_000)]
    with open_proving_channel(served.address) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        stream = stub.Generate(encode_generate(prompt, SamplingParams(max_tokens=None)))
        first = next(stream)
        wait_until(lambda: served.backend.num_open == 0)
        replies = [first, *stream]
    tokens = [event.token for reply in replies for event in reply.events if event.HasField("token")]
    assert tokens == prompt
    assert len(replies) < len(prompt) / 2


def complete_request(*prompts: str | list[int], params: SamplingParams | None = None) -> inference_pb2.CompleteRequest:
    requests = [encode_generate(prompt, params or SamplingParams()) for prompt in prompts]
    return inference_pb2.CompleteRequest(requests=requests)


def outputs(messages: Iterable[inference_pb2.CompleteAnswers], num_requests: int) -> dict[int, list[Output]]:
    """What all messages hold for each request."""
    found: dict[int, list[Output]] = {request: [] for request in range(num_requests)}
    for message in messages:
        for request, of_request in decode_answers(message, num_requests).items():
            found[request] += of_request
    return found


def test_a_whole_answer_is_one_message(served: Served) -> None:
    served.backend.pause_s = 0.02
    params = SamplingParams(logprobs=2)
    with open_proving_channel(served.address) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        whole = list(stub.Complete(complete_request("abcdef", params=params)))
        streamed = list(stub.Generate(encode_generate("abcdef", params)))
    assert len(whole) == 1
    assert len(streamed) > 3
    assert outputs(whole, 1)[0] == [event for message in streamed for event in decode_events(message)]


def test_each_answer_comes_when_its_request_ends(served: Served) -> None:
    """The shortest first; what cannot be, is answered in its place, and the others go on."""
    served.backend.pause_s = 0.1
    request = complete_request("abcd", "a", "full", "", "lost", "ab")
    request.requests.add()  # neither text nor token ids
    with open_proving_channel(served.address) as channel:
        messages = list(inference_pb2_grpc.InferenceStub(channel).Complete(request))
    found = outputs(messages, 7)
    texts = ["".join(one.text for one in of_one if isinstance(one, TokenEvent)) for of_one in found.values()]
    assert texts == ["abcd", "a", "", "", "l", "ab", ""]
    failures = [str(of_one[-1]) for of_one in found.values() if isinstance(of_one[-1], ClusterError)]
    assert [failure.split(":")[0] for failure in failures] == ["queue", "prompt", "stage 1 on node", "prompt"]
    assert isinstance(found[2][-1], CapacityError)
    assert isinstance(found[4][-1], StageLostError)
    order = [answer.request for message in messages for answer in message.answers]
    assert [request for request in order if request in (0, 1, 5)] == [1, 5, 0]


def test_a_bad_grammar_is_its_requests_error(served: Served) -> None:
    """It is never started; the others are."""
    request = complete_request("ab", "cd", params=SamplingParams(seed=1))
    request.requests[1].params.grammar = "bad"
    with open_proving_channel(served.address) as channel:
        found = outputs(list(inference_pb2_grpc.InferenceStub(channel).Complete(request)), 2)
    assert isinstance(found[0][-1], TokenEvent)
    assert isinstance(found[1][-1], UsageError) and "it is bad" in str(found[1][-1])
    assert [params.grammar for params in served.backend.params] == [""]


def test_events_of_a_whole_answer_do_not_wake_the_loop(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    posted: list[object] = []
    post = mailbox.LoopMailbox.post

    def counting(mailbox: mailbox.LoopMailbox, wake: Callable[[], None]) -> None:
        posted.append(wake)
        post(mailbox, wake)

    monkeypatch.setattr(mailbox.LoopMailbox, "post", counting)
    with open_proving_channel(served.address) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        list(stub.Complete(complete_request("a" * 100, "b" * 100)))
        assert len(posted) == 2
        list(stub.Generate(encode_generate("a" * 100, SamplingParams())))
        assert len(posted) == 2 + 101


def test_answers_longer_than_a_message_are_split(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the split, gRPC would refuse to send them."""
    monkeypatch.setattr(mailbox, "MAX_WAITING", 1 << 30)
    prompt = [index % 128 for index in range(50_000)]
    params = SamplingParams(max_tokens=None, logprobs=20)
    with open_proving_channel(served.address) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        replies = list(stub.Complete(complete_request(prompt, prompt, params=params)))
    sizes = [reply.ByteSize() for reply in replies]
    assert sum(sizes) > limits.MAX_MESSAGE_BYTES
    assert max(sizes) < limits.PART_BYTES + 1000
    for found in outputs(replies, 2).values():
        assert [event.token for event in found if isinstance(event, TokenEvent)][:-1] == prompt


def test_very_many_events_do_not_wait_for_the_last(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "MAX_WAITING", 1)
    with open_proving_channel(served.address) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        stream = stub.Complete(complete_request("wait"), timeout=10)
        assert [event.text for event in next(stream).answers[0].events] == ["w"]
        stream.cancel()


def test_cancelling_a_call_cancels_all_of_its_requests(served: Served) -> None:
    with open_proving_channel(served.address) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        stream = stub.Complete(complete_request("wait", "wait", "wait"))
        wait_until(lambda: served.backend.num_open == 3)
        assert not served.backend.cancelled.is_set()
        stream.cancel()
        wait_until(lambda: served.backend.num_open == 0)


def test_a_fault_while_requests_start_leaves_none_running(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = EchoCluster()
    generate = backend.generate

    def faulty(token_ids: list[int], *args: Any) -> Callable[[], None]:
        return generate(token_ids, *args) if isinstance(token_ids, Spelled) else 1 / 0  # type: ignore[return-value]

    monkeypatch.setattr(backend, "generate", faulty)
    server = InferenceServer(backend, Listener(SECRET))
    error = call(server.start(), "Complete", complete_request("wait", [97]).SerializeToString())
    server.stop()
    backend.join()
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "ZeroDivisionError" in error.details()
    assert backend.cancelled.is_set()


def test_unread_logits_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_UNREAD_LOGITS_BYTES", 3 * 4 * VOCAB_SIZE)
    got: list[object] = []

    class Inbox:
        def put(self, item: object) -> None:
            got.append(item)

    unread = streams._UnreadLogits(Inbox())  # type: ignore[arg-type]
    rows: Float32Array = np.zeros((2, VOCAB_SIZE), np.float32)
    unread.put(rows)
    unread.put(rows)
    assert got[0] is rows
    assert "800 bytes wait for the client" in str(got[1])
    unread.num_read_bytes += 2 * rows.nbytes
    unread.put(rows)
    assert got[2] is rows


def test_port_in_use(served: Served) -> None:
    port = int(served.address.rpartition(":")[2])
    with (
        no_thread_left(),
        pytest.raises(UsageError, match=f"port {port} on 127.0.0.1: cannot listen: Address"),
    ):
        InferenceServer(EchoCluster(), Listener(SECRET, ports=port)).start()


def test_no_such_host() -> None:
    with no_thread_left(), pytest.raises(UsageError, match=r"port 0 on 192\.0\.2\.1: cannot listen"):
        InferenceServer(EchoCluster(), Listener(SECRET, host="192.0.2.1")).start()


def test_stop_ends_open_streams_with_a_reason() -> None:
    backend = EchoCluster()
    with no_thread_left():
        server = InferenceServer(backend, Listener(SECRET))
        with open_proving_channel(server.start()) as channel:
            stub = inference_pb2_grpc.InferenceStub(channel)
            stream = stub.Generate(encode_generate("wait", SamplingParams()))
            wholes = stub.Complete(complete_request("wait", "wait"))
            wait_until(lambda: backend.num_open == 3)
            server.stop()
            with pytest.raises(grpc.RpcError) as raised:
                list(stream)
            found = outputs(wholes, 2)
        backend.join()
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "the cluster is going down" in raised.value.details()
    assert [type(of_one[-1]) for of_one in found.values()] == [UnreachableError] * 2
    assert backend.cancelled.is_set()


def test_a_fault_of_the_backend_ends_only_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = EchoCluster()
    monkeypatch.setattr(backend, "status", lambda: 1 / 0)
    server = InferenceServer(backend, Listener(SECRET))
    address = server.start()
    assert call(address, "Status", b"").code() is grpc.StatusCode.INTERNAL
    with open_proving_channel(address) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        assert stub.Detokenize(inference_pb2.DetokenizeRequest(token_ids=[97])).text == "a"
    server.stop()
