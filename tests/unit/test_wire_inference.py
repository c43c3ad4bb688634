"""The inference server's own behaviour: limits, statuses, slow clients, and its end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import grpc
import numpy as np
import pytest

from cluster.errors import ClusterError, UsageError
from cluster.messages import Float32Array, TokenEvent
from cluster.sampling import SamplingParams
from cluster.wire import inference_streams, limits, loop_mailbox
from cluster.wire.channel import open_channel
from cluster.wire.codec_inference import encode_generate
from cluster.wire.inference_server import InferenceServer
from protos import inference_pb2, inference_pb2_grpc
from tests.unit.wire_backends import VOCAB_SIZE, EchoCluster, no_thread_left, wait_until


@dataclass
class Served:
    backend: EchoCluster
    server: InferenceServer
    address: str


@pytest.fixture
def served() -> Iterator[Served]:
    with no_thread_left():
        backend = EchoCluster()
        server = InferenceServer(backend)
        yield Served(backend, server, server.start())
        server.stop()
        backend.join()


def call(address: str, method: str, data: bytes) -> grpc.RpcError:
    """The error of a call with arbitrary bytes."""
    with open_channel(address) as channel:
        with pytest.raises(grpc.RpcError) as raised:
            list(channel.unary_stream(f"/ggml_cluster.v1.Inference/{method}", None, None)(data))
        return raised.value


def test_generated_stubs_speak_to_the_server(served: Served) -> None:
    with open_channel(served.address) as channel:
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
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(served.address, options) as channel, pytest.raises(grpc.RpcError) as raised:
        list(channel.unary_stream("/ggml_cluster.v1.Inference/Generate", None, None)(bytes(17 << 20)))
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_client_that_goes_away_cancels_its_request(served: Served) -> None:
    with open_channel(served.address) as channel:
        stream = inference_pb2_grpc.InferenceStub(channel).Generate(encode_generate("wait", SamplingParams()))
        next(stream)
        assert not served.backend.cancelled.is_set()
    assert served.backend.cancelled.wait(5)


def test_client_that_leaves_during_admission_cancels_too() -> None:
    class SlowToAdmit(EchoCluster):
        def generate(
            self,
            prompt: str | list[int],
            params: SamplingParams,
            sink: Callable[[TokenEvent | ClusterError], None],
        ) -> Callable[[], None]:
            time.sleep(0.3)
            return super().generate(prompt, params, sink)

    backend = SlowToAdmit()
    with no_thread_left():
        server = InferenceServer(backend)
        with open_channel(server.start()) as channel:
            stub = inference_pb2_grpc.InferenceStub(channel)
            stream = stub.Generate(encode_generate("wait", SamplingParams()))
            time.sleep(0.1)
            stream.cancel()
            assert backend.cancelled.wait(5)
        server.stop()
        backend.join()


def test_a_slow_client_does_not_hold_up_the_engine(served: Served) -> None:
    """The engine is rid of all events before the client reads on; few messages carry them."""
    prompt = [index % 128 for index in range(20_000)]
    with open_channel(served.address) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        stream = stub.Generate(encode_generate(prompt, SamplingParams(max_tokens=None)))
        first = next(stream)
        wait_until(lambda: served.backend.num_open == 0)
        replies = [first, *stream]
    tokens = [event.token for reply in replies for event in reply.events if event.HasField("token")]
    assert tokens == prompt
    assert len(replies) < len(prompt) / 2


def test_an_answer_in_one_piece_is_one_message(served: Served) -> None:
    served.backend.pause_s = 0.02
    params = SamplingParams(logprobs=2)
    with open_channel(served.address) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        whole = list(stub.Generate(encode_generate("abcdef", params, in_one_piece=True)))
        streamed = list(stub.Generate(encode_generate("abcdef", params)))
    assert len(whole) == 1
    assert len(streamed) > 3
    assert list(whole[0].events) == [event for message in streamed for event in message.events]


def test_events_of_an_answer_in_one_piece_do_not_wake_the_loop(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    posted: list[object] = []
    post = loop_mailbox.LoopMailbox.post

    def counting(mailbox: loop_mailbox.LoopMailbox, wake: Callable[[], None]) -> None:
        posted.append(wake)
        post(mailbox, wake)

    monkeypatch.setattr(loop_mailbox.LoopMailbox, "post", counting)
    with open_channel(served.address) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        list(stub.Generate(encode_generate("a" * 100, SamplingParams(), in_one_piece=True)))
        assert len(posted) == 1
        list(stub.Generate(encode_generate("a" * 100, SamplingParams())))
        assert len(posted) == 1 + 101


def test_an_answer_longer_than_a_message_is_split(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the split, gRPC would refuse to send it."""
    monkeypatch.setattr(loop_mailbox, "MAX_WAITING", 1 << 30)
    prompt = [index % 128 for index in range(100_000)]
    params = SamplingParams(max_tokens=None, logprobs=20)
    with open_channel(served.address) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        replies = list(stub.Generate(encode_generate(prompt, params, in_one_piece=True)))
    sizes = [reply.ByteSize() for reply in replies]
    assert sum(sizes) > limits.MAX_MESSAGE_BYTES
    assert max(sizes) < limits.PART_BYTES + 1000
    assert len(sizes) == math.ceil(sum(sizes) / limits.PART_BYTES)
    assert [event.token for reply in replies for event in reply.events][:-1] == prompt


def test_very_many_events_do_not_wait_for_the_last(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_mailbox, "MAX_WAITING", 1)
    with open_channel(served.address) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        stream = stub.Generate(encode_generate("wait", SamplingParams(), in_one_piece=True), timeout=10)
        assert [event.text for event in next(stream).events] == ["w"]
        stream.cancel()


def test_an_error_ends_an_answer_in_one_piece(served: Served) -> None:
    with open_channel(served.address) as channel, pytest.raises(grpc.RpcError) as raised:
        stub = inference_pb2_grpc.InferenceStub(channel)
        list(stub.Generate(encode_generate("lost", SamplingParams(), in_one_piece=True), timeout=10))
    assert raised.value.details() == "stage 1 on node: it died; ask again"
    assert ("cluster-error", "StageLostError") in raised.value.trailing_metadata()


def test_cancelling_an_answer_in_one_piece(served: Served) -> None:
    with open_channel(served.address) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        stream = stub.Generate(encode_generate("wait", SamplingParams(), in_one_piece=True))
        wait_until(lambda: served.backend.num_open == 1)
        assert not served.backend.cancelled.is_set()
        stream.cancel()
        assert served.backend.cancelled.wait(5)


def test_unread_logits_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference_streams, "MAX_UNREAD_LOGITS_BYTES", 3 * 4 * VOCAB_SIZE)
    got: list[object] = []

    class Inbox:
        def put(self, item: object) -> None:
            got.append(item)

    unread = inference_streams._UnreadLogits(Inbox())  # type: ignore[arg-type]
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
        InferenceServer(EchoCluster(), port=port).start()


def test_no_such_host() -> None:
    with no_thread_left(), pytest.raises(UsageError, match=r"port 0 on 192\.0\.2\.1: cannot listen"):
        InferenceServer(EchoCluster(), host="192.0.2.1").start()


@pytest.mark.parametrize("in_one_piece", [False, True])
def test_stop_ends_open_streams_with_a_reason(in_one_piece: bool) -> None:
    backend = EchoCluster()
    with no_thread_left():
        server = InferenceServer(backend)
        with open_channel(server.start()) as channel:
            stub = inference_pb2_grpc.InferenceStub(channel)
            stream = stub.Generate(encode_generate("wait", SamplingParams(), in_one_piece))
            wait_until(lambda: backend.num_open == 1)
            server.stop()
            with pytest.raises(grpc.RpcError) as raised:
                list(stream)
        backend.join()
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "the cluster is going down" in raised.value.details()
    assert backend.cancelled.is_set()


def test_a_fault_of_the_backend_ends_only_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = EchoCluster()
    monkeypatch.setattr(backend, "status", lambda: 1 / 0)
    server = InferenceServer(backend)
    address = server.start()
    assert call(address, "Status", b"").code() is grpc.StatusCode.UNKNOWN
    with open_channel(address) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        assert stub.Detokenize(inference_pb2.DetokenizeRequest(token_ids=[97])).text == "a"
    server.stop()
