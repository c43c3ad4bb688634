"""Texts at the inference server: who waits for whom while they are tokenised, and what a refusal ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from cluster.api.errors import CapacityError, ClusterError, UnreachableError, UsageError
from cluster.api.prompt import Segments
from cluster.api.results import Completion
from cluster.client.aio import AsyncClient
from cluster.client.sync import Client
from cluster.wire.access.endpoint import Listener
from cluster.wire.inference import request_group, streams
from cluster.wire.inference.server import InferenceServer
from protos import inference_pb2, inference_pb2_grpc
from tests.fakes.wire_backends import SECRET, EchoCluster, no_thread_left, open_proving_channel, wait_until


@dataclass
class Held(EchoCluster):
    """Holds texts that begin with "hold" until `let_go`; refuses "refused"."""

    holds: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)
    num_held: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    async def tokenize(self, client: str, field: str, segments: Segments, add_special: bool) -> list[int]:
        text = "".join(segment.text for segment in segments)
        if text.startswith("hold"):
            self.num_held += 1
            self.holds.set()
            while not self.let_go.is_set():
                await asyncio.sleep(0.01)
        if text == "refused":
            raise UsageError(f"{field}: refused; give another")
        return await super().tokenize(client, field, segments, add_special)


@dataclass
class Served:
    backend: Held
    server: InferenceServer
    address: str

    def client(self) -> Client:
        return Client(self.address, SECRET.text)


@pytest.fixture
def served() -> Iterator[Served]:
    with no_thread_left():
        backend = Held()
        server = InferenceServer(backend, Listener(SECRET))
        yield Served(backend, server, server.start())
        backend.let_go.set()
        server.stop()
        backend.join()


def in_thread(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Begins a call; its result, or what it raised, will be in the list."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(call())
        except ClusterError as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, found


def test_nothing_else_waits_for_texts_that_are_tokenised(served: Served) -> None:
    with served.client() as client:
        threads = [in_thread(lambda: client.tokenize("hold"))[0] for _ in range(20)]
        assert served.backend.holds.wait(10)
        assert client.status().state == "ready"
        assert client.detokenize([97]) == "a"
        assert client.generate([97, 98]).text == "ab"
        assert client.generate("ab").text == "ab"
        assert client.logits([1]).shape[0] == 1
        assert all(thread.is_alive() for thread in threads)
        served.backend.let_go.set()
        for thread in threads:
            thread.join(10)


def test_a_refused_text_is_its_own_prompt_s_error(served: Served) -> None:
    with served.client() as client:
        found = client.generate(["ab", "refused", "cd"], return_errors=True)
        assert [type(one) for one in found] == [Completion, UsageError, Completion]
        assert str(found[1]) == "prompt: refused; give another"
        for call in (client.generate, lambda text: list(client.stream(text))):
            with pytest.raises(UsageError, match="prompt: refused"):
                call("refused")
        with pytest.raises(UsageError, match="text: refused"):
            client.tokenize("refused")


def test_prompts_before_a_slow_one_do_not_wait_for_it(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_group, "TOGETHER_S", 0.0)
    request = inference_pb2.CompleteRequest()
    for text in ("ab", "hold"):
        request.requests.add(text=text)
    with open_proving_channel(served.address) as channel:
        messages = inference_pb2_grpc.InferenceStub(channel).Complete(request)
        assert [answer.request for answer in next(messages).answers] == [0]
        served.backend.let_go.set()
        assert [answer.request for message in messages for answer in message.answers] == [1]


def test_control_tokens_are_parsed_on_request(served: Served) -> None:
    with served.client() as client:
        client.generate("a", parse_special=True)
        client.generate(["a", "b"], parse_special=True)
        list(client.stream("a", parse_special=True))
        assert [parse for _, _, parse in served.backend.asked] == [True] * 4
        client.generate("a")
        list(client.stream("a"))
        client.generate(iter(["a"]))
        assert [parse for _, _, parse in served.backend.asked[4:]] == [False] * 3
        with pytest.raises(UsageError, match="parse_special: 1 is not a boolean"):
            client.generate("a", parse_special=1)  # type: ignore[arg-type, call-overload]

    async def ask() -> None:
        async with AsyncClient(served.address, SECRET.text) as client:
            await client.generate("a", parse_special=True)
            await client.generate(["a"], parse_special=True)
            async with client.stream("a", parse_special=True) as events:
                assert [event async for event in events]

    asyncio.run(ask())
    assert [parse for _, _, parse in served.backend.asked[7:]] == [True] * 3


def test_clients_are_told_apart(served: Served) -> None:
    with served.client() as client:
        client.tokenize("a")
    with open_proving_channel(served.address, default_authority="other") as channel:
        inference_pb2_grpc.InferenceStub(channel).Tokenize(inference_pb2.TokenizeRequest(text="a"))
    clients = [client for client, _, _ in served.backend.asked]
    assert len(set(clients)) == 2


def test_a_request_that_cannot_fit_is_not_read(served: Served) -> None:
    served.backend.max_prompt_bytes = 1000
    with served.client() as client:
        for call in (client.tokenize, lambda text: list(client.stream(text))):
            with pytest.raises(UsageError, match=r"request: 1000\d\d bytes cannot fit into the context"):
                call("x" * 100_000)
        assert not served.backend.asked
        assert client.tokenize("x" * 1000)


def test_long_requests_that_wait_are_bounded_in_all(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_WAITING_BYTES", 250_000)
    with served.client() as client:
        calls = [in_thread(lambda: client.tokenize("hold" + "x" * 100_000)) for _ in range(2)]
        wait_until(lambda: served.backend.num_held == 2)
        refused = [in_thread(lambda: client.tokenize("hold" + "x" * 100_000)) for _ in range(1)]
        refused += [in_thread(lambda: client.generate("hold" + "x" * 100_000))]
        for thread, found in refused:
            thread.join(10)
            assert "bytes of requests wait for the tokenizer" in str(found[0])
            assert isinstance(found[0], CapacityError)
        assert client.tokenize("short")
        served.backend.let_go.set()
        for thread, found in calls:
            thread.join(10)
            assert isinstance(found[0], list)
        assert client.tokenize("x" * 200_000)


def test_stop_ends_what_is_being_tokenised() -> None:
    backend = Held()
    with no_thread_left():
        server = InferenceServer(backend, Listener(SECRET))
        with Client(server.start(), SECRET.text) as client:
            calls = [in_thread(call) for call in (lambda: client.tokenize("hold"), lambda: client.generate("hold"))]
            many = in_thread(lambda: client.generate(["hold", "hold"], return_errors=True))
            assert backend.holds.wait(10)
            server.stop()
            for thread, found in (*calls, many):
                thread.join(10)
                assert found
        backend.join()
    assert [type(found[0]) for _, found in calls] == [UnreachableError] * 2
    assert "the cluster is going down" in str(calls[0][1][0])


def test_a_fault_of_ours_is_no_unreachable_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    async def faulty(*arguments: Any) -> list[int]:
        raise IndexError("unordered_map::at")

    backend = EchoCluster()
    monkeypatch.setattr(backend, "tokenize", faulty)
    server = InferenceServer(backend, Listener(SECRET))
    with Client(server.start(), SECRET.text) as client:
        for call in (client.tokenize, client.generate):
            with pytest.raises(ClusterError) as raised:
                call("a")
            assert type(raised.value) is ClusterError
            assert "IndexError('unordered_map::at'); report a bug" in str(raised.value)
    server.stop()
