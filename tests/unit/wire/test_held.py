"""Requests whose connection breaks while the cluster lives: computed on, and gone on with where the client is."""

from __future__ import annotations

import asyncio
import gc
import string
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import grpc
import pytest

import cluster
from cluster.api.errors import CapacityError
from cluster.api.results import FinishReason, Timings, TokenEvent
from cluster.api.sampling import SamplingParams
from cluster.client.aio import AsyncClient
from cluster.wire.access.endpoint import Listener
from cluster.wire.codec.answer import decode_events
from cluster.wire.codec.inference import encode_generate
from cluster.wire.inference import held, relay
from cluster.wire.inference.server import InferenceServer
from protos import inference_pb2, inference_pb2_grpc
from tests.fakes.bad_road import BadRoad
from tests.fakes.wire_backends import SECRET, EchoCluster, no_thread_left, open_proving_channel, wait_until

ALPHABET = string.ascii_lowercase
TIMINGS = Timings(1, len(ALPHABET), 0, 0.0, 0.0, 0.0)
SOON_S = 4.0  # much less than a request is held


class Spelling(EchoCluster):
    """Tells the alphabet, so many letters at a time as it is let; counts what it was asked, and what was cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.keeps_requests = True
        self.num_asked = 0
        self.num_cancelled = 0
        self._told: list[tuple[Callable[[Any], None], list[str]]] = []

    def generate(
        self,
        token_ids: list[int],
        params: SamplingParams,
        sink: Callable[[Any], None],
        client: str,
        ticket: bytes = b"",
    ) -> Callable[[], None]:
        self.num_asked += 1
        told = (sink, list(ALPHABET))
        self._told.append(told)

        def cancel() -> None:
            if told in self._told:
                self._told.remove(told)
                self.num_cancelled += 1

        return cancel

    @property
    def num_open(self) -> int:  # type: ignore[override]
        return len(self._told)

    @num_open.setter
    def num_open(self, value: int) -> None:
        """EchoCluster's own count, of texts that it does not tell here."""

    def tell(self, num_letters: int) -> None:
        """To each."""
        for told in list(self._told):
            sink, left = told
            for _ in range(min(num_letters, len(left))):
                letter = left.pop(0)
                place = ALPHABET.index(letter)
                is_last = not left
                sink(
                    TokenEvent(
                        place, letter, None, (), FinishReason.LENGTH if is_last else None, TIMINGS if is_last else None
                    )
                )
            if not left:
                self._told.remove(told)


@pytest.fixture
def backend() -> Iterator[Spelling]:
    yield Spelling()


@pytest.fixture
def address(backend: Spelling) -> Iterator[str]:
    with no_thread_left():
        server = InferenceServer(backend, Listener(SECRET))
        yield server.start()
        server.stop()


@pytest.fixture
def road(address: str) -> Iterator[BadRoad]:
    found = BadRoad(address)
    yield found
    found.close()


@pytest.fixture
def client(road: BadRoad) -> Iterator[cluster.Client]:
    with cluster.connect(road.address, SECRET.text) as found:
        yield found


def letters(events: Iterator[TokenEvent], number: int) -> str:
    return "".join(next(events).text for _ in range(number))


def test_a_stream_whose_connection_breaks_goes_on(backend: Spelling, road: BadRoad, client: cluster.Client) -> None:
    stream = client.stream("x")
    wait_until(lambda: backend.num_open == 1)
    backend.tell(3)
    assert letters(stream, 3) == "abc"
    for _ in range(3):
        assert road.reset()
        backend.tell(5)  # some of them while nobody is connected
        assert letters(stream, 5)
    backend.tell(26)
    assert "".join(event.text for event in stream) == ALPHABET[18:]
    assert (backend.num_asked, backend.num_cancelled) == (1, 0), "nothing is computed again"


def test_what_was_on_its_way_is_told_again(backend: Spelling, road: BadRoad, client: cluster.Client) -> None:
    """Also the end of an answer, which its server takes for sent."""
    stream = client.stream("x")
    wait_until(lambda: backend.num_open == 1)
    backend.tell(2)
    assert letters(stream, 2) == "ab"
    road.trouble.is_black_hole = True
    backend.tell(26)
    time.sleep(0.2)
    road.trouble.is_black_hole = False
    road.reset()
    assert "".join(event.text for event in stream) == ALPHABET[2:]
    assert backend.num_asked == 1


def test_whole_texts_go_on_and_those_that_have_ended_are_sent_again(
    backend: Spelling, road: BadRoad, client: cluster.Client
) -> None:
    found: list[cluster.Completion] = []
    thread = threading.Thread(target=lambda: found.extend(client.generate(["x", "y"], progress=False)))
    thread.start()
    wait_until(lambda: backend.num_open == 2)
    backend.tell(10)
    road.reset()
    backend.tell(10)
    road.trouble.is_black_hole = True
    backend.tell(26)
    time.sleep(0.2)
    road.trouble.is_black_hole = False
    road.reset()
    thread.join(20)
    assert [completion.text for completion in found] == [ALPHABET, ALPHABET]
    assert (backend.num_asked, backend.num_cancelled) == (2, 0)


def test_the_client_for_asyncio_goes_on_too(backend: Spelling, road: BadRoad) -> None:
    async def run() -> str:
        async with await AsyncClient.connect(road.address, SECRET.text) as client:
            stream = client.stream("x")
            await asyncio.to_thread(wait_until, lambda: backend.num_open == 1)
            backend.tell(3)
            text = "".join([(await anext(stream)).text for _ in range(3)])
            road.reset()
            backend.tell(26)
            return text + "".join([event.text async for event in stream])

    assert asyncio.run(run()) == ALPHABET
    assert backend.num_asked == 1


def closed(stream: cluster.TokenStream) -> None:
    stream.close()


def dropped(stream: cluster.TokenStream) -> None:
    """The caller of this has no other reference."""


@pytest.mark.parametrize("ends", [closed, dropped])
def test_one_that_nobody_wants_ends_at_once(
    ends: Callable[[cluster.TokenStream], None], backend: Spelling, client: cluster.Client
) -> None:
    streams = [client.stream("x")]
    wait_until(lambda: backend.num_open == 1)
    ends(streams.pop())
    gc.collect()
    wait_until(lambda: backend.num_cancelled == 1, SOON_S)


def test_a_closed_client_leaves_nothing_behind(backend: Spelling, road: BadRoad) -> None:
    with cluster.connect(road.address, SECRET.text) as client:
        streams = [client.stream("x"), client.stream("y")]
        wait_until(lambda: backend.num_open == 2)
    wait_until(lambda: backend.num_cancelled == 2, SOON_S)
    assert [list(stream) for stream in streams] == [[], []]


@pytest.mark.parametrize("how", ["closed", "dropped", "its reader is cancelled", "the client is closed"])
def test_what_a_client_for_asyncio_no_longer_wants_ends_at_once(how: str, backend: Spelling, road: BadRoad) -> None:
    async def run() -> None:
        async with await AsyncClient.connect(road.address, SECRET.text) as client:
            streams = [client.stream("x")]
            await asyncio.to_thread(wait_until, lambda: backend.num_open == 1)
            if how == "closed":
                streams[0].close()
            elif how == "dropped":
                streams.clear()
                gc.collect()
            elif how == "its reader is cancelled":
                reader = asyncio.ensure_future(anext(streams[0]))
                await asyncio.sleep(0.05)
                reader.cancel()
            if how != "the client is closed":
                await asyncio.to_thread(wait_until, lambda: backend.num_cancelled == 1, SOON_S)

    asyncio.run(run())
    wait_until(lambda: backend.num_cancelled == 1, SOON_S)


def test_whole_texts_of_a_client_that_is_closed_end_at_once(backend: Spelling, client: cluster.Client) -> None:
    def ask() -> None:
        with suppress(cluster.ClusterError):
            client.generate(["x", "y"], progress=False)

    thread = threading.Thread(target=ask)
    thread.start()
    wait_until(lambda: backend.num_open == 2)
    client.close()
    wait_until(lambda: backend.num_cancelled == 2, SOON_S)
    thread.join(20)


def test_who_does_not_come_back_is_not_waited_for_for_ever(
    backend: Spelling, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "HOLD_S", 0.3)
    with open_proving_channel(address) as channel:
        call = inference_pb2_grpc.InferenceStub(channel).Generate(request(b"t" * 16))
        wait_until(lambda: backend.num_open == 1)
        call.cancel()  # and nothing is said of it
        time.sleep(0.1)
        assert backend.num_cancelled == 0
        wait_until(lambda: backend.num_cancelled == 1, SOON_S)


def request(ticket: bytes, num_received: int = 0) -> inference_pb2.GenerateRequest:
    message = encode_generate("x", SamplingParams())
    message.ticket, message.num_received = ticket, num_received
    return message


def texts(call: Any) -> str:
    return "".join(event.text for message in call for event in decode_events(message))


def test_one_without_a_ticket_ends_with_its_stream(backend: Spelling, address: str) -> None:
    with open_proving_channel(address) as channel:
        call = inference_pb2_grpc.InferenceStub(channel).Generate(request(b""))
        wait_until(lambda: backend.num_open == 1)
        call.cancel()
        wait_until(lambda: backend.num_cancelled == 1, SOON_S)


def test_who_asks_again_takes_the_answer_over(backend: Spelling, address: str) -> None:
    """The first connection hangs, and its server has not noticed."""
    with open_proving_channel(address) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        first = stub.Generate(request(b"t" * 16))
        wait_until(lambda: backend.num_open == 1)
        backend.tell(4)
        second = stub.Generate(request(b"t" * 16, 2))
        with pytest.raises(grpc.RpcError) as raised:
            texts(first)
        assert "it is answered on another connection" in str(raised.value)
        backend.tell(26)
        assert texts(second) == ALPHABET[2:]
        assert texts(stub.Generate(request(b"t" * 16, 20))) == ALPHABET[20:], "its end is kept for a while"
        for num_received in (26, 27):
            with pytest.raises(grpc.RpcError) as raised:
                texts(stub.Generate(request(b"t" * 16, num_received)))
            assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert backend.num_asked == 1


def test_what_is_too_long_ago_is_lost_and_says_so(
    backend: Spelling, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "MAX_RECENT", 5)
    with open_proving_channel(address) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        call = stub.Generate(request(b"t" * 16))
        wait_until(lambda: backend.num_open == 1)
        backend.tell(10)
        call.cancel()
        with pytest.raises(grpc.RpcError) as raised:
            texts(stub.Generate(request(b"t" * 16, 4)))
        assert "its answer broke off after 4 events, and nothing is known of it any more" in str(raised.value)
        call = stub.Generate(request(b"t" * 16, 5))
        kept = "".join(event.text for event in decode_events(next(call)))
        backend.tell(26)
        assert kept + texts(call) == ALPHABET[5:]


def test_one_that_failed_begins_anew_when_it_is_asked_for_again(backend: Spelling, address: str) -> None:
    """As of a queue that was full: clients ask again under the same ticket."""
    with open_proving_channel(address) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        call = stub.Generate(request(b"t" * 16))
        wait_until(lambda: backend.num_open == 1)
        sink, _ = backend._told.pop()
        sink(CapacityError("queue: full"))
        with pytest.raises(grpc.RpcError):
            texts(call)
        call = stub.Generate(request(b"t" * 16))
        wait_until(lambda: backend.num_open == 1)
        backend.tell(26)
        assert texts(call) == ALPHABET


def test_of_what_was_sent_the_oldest_is_forgotten_first(
    backend: Spelling, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "MAX_ENDED", 60)  # two alphabets, no third
    tickets = [bytes([number]) * 16 for number in range(3)]
    with open_proving_channel(address) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        for ticket in tickets:
            call = stub.Generate(request(ticket))
            wait_until(lambda: backend.num_open == 1)
            backend.tell(26)
            assert texts(call) == ALPHABET
        for ticket in tickets[1:]:
            assert texts(stub.Generate(request(ticket, 1))) == ALPHABET[1:]
        with pytest.raises(grpc.RpcError) as raised:
            texts(stub.Generate(request(tickets[0], 1)))
        assert "nothing is known of it any more" in str(raised.value)


def test_a_server_that_ends_cancels_what_it_holds(backend: Spelling) -> None:
    server = InferenceServer(backend, Listener(SECRET))
    with open_proving_channel(server.start()) as channel:
        call = inference_pb2_grpc.InferenceStub(channel).Generate(request(b"t" * 16))
        wait_until(lambda: backend.num_open == 1)
        call.cancel()
        time.sleep(0.1)
        assert backend.num_cancelled == 0
    server.stop()
    assert backend.num_cancelled == 1


def test_tickets_to_cancel_are_counted(address: str) -> None:
    with open_proving_channel(address) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        stub.Cancel(inference_pb2.CancelRequest(tickets=[b"unknown", b""]))
        with pytest.raises(grpc.RpcError) as raised:
            stub.Cancel(inference_pb2.CancelRequest(tickets=[b""] * 3000))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
