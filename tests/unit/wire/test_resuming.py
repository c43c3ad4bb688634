"""Requests that are asked for again: their answers go on, and what is lost is said to be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from cluster.api.results import FinishReason, Timings, TokenEvent
from cluster.api.sampling import SamplingParams
from cluster.wire.access.endpoint import Listener
from cluster.wire.codec.answer import decode_answers, decode_events
from cluster.wire.codec.inference import encode_generate
from cluster.wire.inference.server import InferenceServer
from cluster.wire.transport.keeping import keeps_requests
from protos import inference_pb2, inference_pb2_grpc
from tests.fakes.wire_backends import SECRET, EchoCluster, no_thread_left, open_proving_channel

KEPT, LOST, OTHER = bytes(range(16)), bytes(16), bytes([7]) * 16
TIMINGS = Timings(1, 4, 0, 0.0, 0.0, 0.0)


class Successor(EchoCluster):
    """Has taken one request up, whose text is "abcd"."""

    keeps_requests = True

    def resume(self, ticket: bytes, num_received: int, sink: Callable[[Any], None]) -> Callable[[], None] | None:
        if ticket != KEPT:
            return None
        for place, letter in enumerate("abcd"):
            reason = FinishReason.LENGTH if letter == "d" else None
            if place >= num_received:
                sink(TokenEvent(place, letter, None, (), reason, TIMINGS if reason else None))
        return self.cancelled.set


@pytest.fixture
def backend() -> Iterator[tuple[Successor, str]]:
    with no_thread_left():
        found = Successor()
        found.keeps_requests = True
        server = InferenceServer(found, Listener(SECRET))
        yield found, server.start()
        server.stop()
        found.join()


def request(ticket: bytes, num_received: int) -> inference_pb2.GenerateRequest:
    message = encode_generate("xy", SamplingParams())
    message.ticket, message.num_received = ticket, num_received
    return message


def test_a_text_goes_on_behind_what_was_received(backend: tuple[Successor, str]) -> None:
    with open_proving_channel(backend[1]) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        for num_received in range(5):
            call = stub.Generate(request(KEPT, num_received))
            text = ""
            try:
                for message in call:
                    text += "".join(event.text for event in decode_events(message))
                    if text.endswith("d"):
                        break
            finally:
                call.cancel()
            assert text == "abcd"[num_received:]
            assert keeps_requests(call.initial_metadata())
            if num_received == 3:
                break  # behind the last event nothing comes
    assert backend[0].asked == [], "it is not tokenised again"


def test_one_that_is_not_known_begins_or_is_lost(backend: tuple[Successor, str]) -> None:
    with open_proving_channel(backend[1]) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        texts = [event.text for message in stub.Generate(request(LOST, 0)) for event in decode_events(message)]
        assert "".join(texts) == "xy"
        with pytest.raises(grpc.RpcError) as raised:
            list(stub.Generate(request(OTHER, 3)))
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "its answer broke off after 3 events, and nothing is known of it any more; ask again" in str(raised.value)


def test_of_several_those_that_have_ended_are_left_out(backend: tuple[Successor, str]) -> None:
    requests = [request(LOST, 0), request(KEPT, 2), request(LOST, 0), request(OTHER, 1)]
    with open_proving_channel(backend[1]) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        outputs: dict[int, list[Any]] = {}
        for message in stub.Complete(inference_pb2.CompleteRequest(requests=requests, ended=[0])):
            for place, found in decode_answers(message, 4).items():
                outputs.setdefault(place, []).extend(found)
    assert sorted(outputs) == [1, 2, 3]
    assert "".join(event.text for event in outputs[1]) == "cd"
    assert "".join(event.text for event in outputs[2]) == "xy"
    assert "nothing is known of it any more" in str(outputs[3][0])


def test_a_cluster_that_keeps_nothing_does_not_say_so() -> None:
    with no_thread_left():
        server = InferenceServer(EchoCluster(), Listener(SECRET))
        with open_proving_channel(server.start()) as channel:
            call = inference_pb2_grpc.InferenceStub(channel).Generate(encode_generate("x", SamplingParams()))
            list(call)
            assert not keeps_requests(call.initial_metadata())
        server.stop()
