"""AsyncClient has the methods of Client, and cancels what its tasks leave."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from cluster import AsyncClient, Client
from cluster.api.errors import CapacityError, StageLostError, UnreachableError, UsageError
from cluster.api.prompt import Segment
from cluster.client import aio_stream
from cluster.client.completion import Completions
from cluster.wire.access.endpoint import Listener
from cluster.wire.inference.server import InferenceServer
from tests.fakes.wire_backends import SECRET, VOCAB_SIZE, EchoCluster, no_thread_left, wait_until

Scenario = Callable[[AsyncClient, EchoCluster], Awaitable[None]]


def play(scenario: Scenario) -> None:
    async def run() -> None:
        async with await AsyncClient.connect(address, SECRET.text) as client:
            await scenario(client, backend)

    with no_thread_left():
        backend = EchoCluster()
        server = InferenceServer(backend, Listener(SECRET))
        address = server.start()
        asyncio.run(run())
        server.stop()
        backend.join()


def test_same_methods_as_the_client() -> None:
    def methods(kind: type[object]) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(method).parameters)
            for name, method in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }

    assert methods(AsyncClient) == methods(Client)


def test_generate() -> None:
    async def scenario(client: AsyncClient, backend: EchoCluster) -> None:
        assert (await client.generate("abc", max_tokens=2)).text == "ab"
        assert (await client.generate([97])).text == "a"
        assert [one.text for one in await client.generate(["a", "bc"])] == ["a", "bc"]

    play(scenario)


def test_generate_gets_one_message_and_a_stream_several(monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[bytes] = []
    next_message = aio_stream.AsyncMessages.__anext__

    async def counting(stream: aio_stream.AsyncMessages) -> bytes:
        messages.append(await next_message(stream))
        return messages[-1]

    async def scenario(client: AsyncClient, backend: EchoCluster) -> None:
        backend.pause_s = 0.02
        completion = await client.generate("abcdef", logprobs=2)
        assert len(messages) == 1
        events = [event async for event in client.stream("abcdef", logprobs=2)]
        assert Completions(1).add({0: events}) == [(0, completion)]
        assert len(messages) > 1 + 3

    monkeypatch.setattr(aio_stream.AsyncMessages, "__anext__", counting)
    play(scenario)


def test_other_calls() -> None:
    async def scenario(client: AsyncClient, backend: EchoCluster) -> None:
        assert (await client.logits([1, 2, 3])).shape == (3, VOCAB_SIZE)
        assert await client.tokenize("ab") == [1, 97, 98]
        assert await client.detokenize(np.array([97])) == "a"
        assert await client.tokenize((Segment("a", parse_special=True),), add_special=False) == [2, 97]
        assert (await client.generate((Segment("a"), Segment("b")))).text == "ab"
        assert await client.model() == backend.model()
        assert await client.adapters({0: 2.0}) == backend.model().adapters
        assert backend.scales == ((0, 2.0),)
        assert await client.vocabulary() == backend.vocabulary()
        assert await client.status() == backend.status()
        assert await client.intervals() == list(backend.intervals())
        assert await client.slots() == backend.slots()

    play(scenario)


def test_stream_and_close() -> None:
    async def scenario(client: AsyncClient, backend: EchoCluster) -> None:
        async with client.stream("abc") as stream:
            assert [event.text async for event in stream] == ["a", "b", "c", ""]
        assert not backend.cancelled.is_set() or backend.num_open == 0
        backend.cancelled.clear()
        stream = client.stream("wait")
        assert (await anext(stream)).text == "w"
        await stream.aclose()
        assert await asyncio.to_thread(backend.cancelled.wait, 5)
        assert [event async for event in stream] == []

    play(scenario)


def test_cancelling_a_task_cancels_its_request() -> None:
    async def scenario(client: AsyncClient, backend: EchoCluster) -> None:
        task = asyncio.create_task(client.generate("wait"))
        await asyncio.to_thread(wait_until, lambda: backend.num_open == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(wait_until, lambda: backend.num_open == 0)

    play(scenario)


def test_a_stream_closed_by_another_task_ends() -> None:
    async def scenario(client: AsyncClient, backend: EchoCluster) -> None:
        stream = client.stream("wait")
        await anext(stream)
        asyncio.get_running_loop().call_later(0.1, lambda: asyncio.ensure_future(stream.aclose()))
        assert [event async for event in stream] == []

    play(scenario)


def test_errors() -> None:
    async def scenario(client: AsyncClient, backend: EchoCluster) -> None:
        with pytest.raises(CapacityError, match="256 requests wait"):
            await client.generate("full")
        with pytest.raises(UsageError, match="did you mean top_k"):
            await client.generate("a", topk=3)
        with pytest.raises(StageLostError):
            await client.generate("lost")
        await asyncio.to_thread(wait_until, lambda: backend.num_open == 0)
        await client.close()
        with pytest.raises(UsageError, match="client: it is closed"):
            await client.status()

    play(scenario)


def test_nobody_at_the_address() -> None:
    async def run() -> None:
        with pytest.raises(UnreachableError, match=r"cannot reach a cluster at 127.0.0.1:1: .*refused"):
            await AsyncClient.connect("127.0.0.1:1", SECRET.text)

    with no_thread_left():
        asyncio.run(run())
