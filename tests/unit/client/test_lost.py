"""A coordinator that is killed: every call, waiting or in the middle, tells which cluster is gone and what to do."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

import cluster
from cluster.api.errors import ClusterError, UnreachableError
from cluster.client.aio import AsyncClient
from cluster.client.calls import call_error
from cluster.wire.access.endpoint import Endpoint
from tests.fakes.wire_backends import SECRET

WAITING = ("tokenize", "detokenize", "status", "slots", "intervals")


@dataclass
class Victim:
    """The process, and what it says of the calls that reach it."""

    process: subprocess.Popen[str]
    address: str

    def await_calls(self, count: int) -> None:
        assert self.process.stdout is not None
        for _ in range(count):
            assert self.process.stdout.readline()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def victim() -> Iterator[Victim]:
    command = [sys.executable, "-m", "tests.fakes.silent_cluster"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Victim(process, process.stdout.readline().strip())
        finally:
            process.kill()


def read_all(events: Iterator[Any]) -> None:
    for _ in events:
        pass


CALLS: dict[str, tuple[Callable[[cluster.Client], Any], int]] = {
    "a stream": (lambda client: read_all(client.stream("once")), 1),
    "a text": (lambda client: client.generate("once"), 1),
    "many texts": (lambda client: client.generate(["once", "twice", "again"]), 3),
    "an iterator of texts": (lambda client: client.generate(iter(["once"])), 0),  # asks for the status before
    "logits": (lambda client: client.logits([1, 2]), 1),
    "tokenize": (lambda client: client.tokenize("once"), 1),
    "detokenize": (lambda client: client.detokenize([1]), 1),
    "status": (lambda client: client.status(), 1),
    "slots": (lambda client: client.slots(), 1),
    "intervals": (lambda client: client.intervals(), 1),
}


def check(error: BaseException, address: str) -> None:
    assert type(error) is UnreachableError, error
    assert address in str(error)
    assert "cluster up" in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_is_under_way(call: str, victim: Victim) -> None:
    ask, num_arrived = CALLS[call]
    with cluster.connect(victim.address, SECRET.text) as client, ThreadPoolExecutor(1) as threads:
        asked = threads.submit(ask, client)
        victim.await_calls(num_arrived or 1)
        victim.kill()
        check(asked.exception(30), victim.address)
        with pytest.raises(UnreachableError) as raised:
            ask(client)
        check(raised.value, victim.address)


ASYNC_CALLS: dict[str, Callable[[AsyncClient], Any]] = {
    "a stream": lambda client: _drain(client),
    "a text": lambda client: client.generate("once"),
    "many texts": lambda client: client.generate(["once", "twice", "again"]),
    "logits": lambda client: client.logits([1, 2]),
    "tokenize": lambda client: client.tokenize("once"),
    "detokenize": lambda client: client.detokenize([1]),
    "status": lambda client: client.status(),
    "slots": lambda client: client.slots(),
    "intervals": lambda client: client.intervals(),
}


async def _drain(client: AsyncClient) -> None:
    async for _ in client.stream("once"):
        pass


@pytest.mark.parametrize("call", ASYNC_CALLS)
def test_an_awaited_call_that_is_under_way(call: str, victim: Victim) -> None:
    async def run() -> None:
        client = await AsyncClient.connect(victim.address, SECRET.text)
        try:
            task = asyncio.ensure_future(ASYNC_CALLS[call](client))
            await asyncio.to_thread(victim.await_calls, CALLS[call][1])
            victim.kill()
            for awaited in (task, ASYNC_CALLS[call](client)):
                with pytest.raises(UnreachableError) as raised:
                    await asyncio.wait_for(awaited, 30)
                check(raised.value, victim.address)
        finally:
            await client.close()

    asyncio.run(run())


def test_what_many_prompts_had_become_is_told_with_the_loss(victim: Victim) -> None:
    with cluster.connect(victim.address, SECRET.text) as client:
        killer = threading.Thread(target=lambda: (victim.await_calls(2), victim.kill()))
        killer.start()
        outcomes = client.generate(["once", "twice"], return_errors=True)
        killer.join()
    for outcome in outcomes:
        assert isinstance(outcome, ClusterError)
        check(outcome, victim.address)


class _Broken(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> tuple[()]:
        return ()


@pytest.mark.parametrize(
    ("code", "details"),
    [
        (grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2"),
        (grpc.StatusCode.INTERNAL, "Received http2 header with status: 502"),
        (grpc.StatusCode.UNKNOWN, "Stream removed"),
        (grpc.StatusCode.CANCELLED, "Received RST_STREAM with error code 8"),
        (grpc.StatusCode.UNAVAILABLE, "GOAWAY received; Error code: 11; Debug Text: too_many_pings"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"),
    ],
    ids=str,
)
def test_whatever_the_transport_calls_it(code: grpc.StatusCode, details: str) -> None:
    """gRPC says that a connection broke in several ways, by where it was at that moment."""
    check(call_error(_Broken(code, details), Endpoint("127.0.0.1:8470", None)), "127.0.0.1:8470")
