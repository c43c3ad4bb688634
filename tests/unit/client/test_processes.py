"""Clients beside forks, pickles, several event loops and the end of the interpreter."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict

import pytest

from cluster import AsyncClient, Client, SamplingParams
from cluster.api.errors import UsageError
from cluster.wire.access.endpoint import Listener
from cluster.wire.inference.server import InferenceServer
from tests.fakes.wire_backends import SECRET, EchoCluster, no_thread_left


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of a cluster whose secret this process and its children find in their environment."""
    monkeypatch.setenv("CLUSTER_SECRET", SECRET.text)
    with no_thread_left():
        backend = EchoCluster()
        server = InferenceServer(backend, Listener(SECRET))
        yield server.start()
        server.stop()
        backend.join()


# A fork happens in a program of its own: the tests' own process has threads of gRPC's servers, too.
PROGRAM = """
import os, signal, sys, threading
import cluster

def in_child(work):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    signal.alarm(30)  # a hang is an exit code, too
    try:
        print(work(), flush=True)
    except cluster.ClusterError as error:
        print(type(error).__name__, error, flush=True)
    os._exit(0)

address = sys.argv[1]
"""


def run_program(code: str, address: str, stdin: bytes = b"") -> str:
    command = [sys.executable, "-c", PROGRAM + code, address]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert not [line for line in done.stderr.splitlines() if b"fork_posix" not in line], done.stderr.decode()
    return done.stdout.decode()


def test_a_child_that_was_forked_from_a_talking_process_is_told_so(address: str) -> None:
    code = """
client = cluster.connect(address)
stream = client.stream("abcdefgh", max_tokens=8)
next(stream)
assert in_child(lambda: client.generate("abc").text) == 0
assert in_child(lambda: cluster.connect(address).generate("abc").text) == 0
assert in_child(lambda: list(stream)) == 0
print("".join(event.text for event in stream), client.generate("abc", max_tokens=2).text)
"""
    lines = run_program(code, address).splitlines()
    assert lines[3:] == ["bcdefgh ab"], "the parent goes on"
    assert len(lines) == 4
    for line in lines[:3]:
        assert line.startswith("UsageError client: this process was forked")
        assert "'spawn'" in line


def test_children_may_connect_where_the_parent_never_talked(address: str) -> None:
    code = """
client = cluster.Client(address)
assert in_child(lambda: client.generate("abc", max_tokens=2).text) == 0
assert in_child(lambda: cluster.connect(address).generate("abc", max_tokens=1).text) == 0
print(client.generate("abc").text)
"""
    assert run_program(code, address).split() == ["ab", "a", "abc"]


def test_a_forked_child_of_a_talking_process_ends_in_the_ordinary_way(address: str) -> None:
    code = """
client = cluster.connect(address)
child = os.fork()
if child == 0:
    signal.alarm(30)
    client.close()
    sys.exit(5)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
print(client.generate("abc").text)
"""
    assert run_program(code, address).split() == ["abc"]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_pickled_client_connects_anew(kind: type[Client | AsyncClient], address: str) -> None:
    client = kind(address)
    data = pickle.dumps(client)
    code = """
import asyncio, pickle
client = pickle.loads(sys.stdin.buffer.read())
answer = client.generate("abc")
print(asyncio.run(answer).text if asyncio.iscoroutine(answer) else answer.text)
"""
    assert run_program(code, address, stdin=data).split() == ["abc"]


def test_a_copy_is_a_connection_of_its_own(address: str) -> None:
    with Client(address) as client:
        for other in (copy.copy(client), copy.deepcopy(client)):
            assert other.address == client.address
            other.close()
        assert client.generate("abc").text == "abc"


def test_an_async_client_is_made_before_any_loop_runs_and_serves_one_after_the_other(address: str) -> None:
    client = AsyncClient(address)

    async def twice() -> list[str]:
        first = await client.generate("abc")
        return [first.text, "".join([event.text async for event in client.stream("xyz")])]

    assert asyncio.run(twice()) == ["abc", "xyz"]
    assert asyncio.run(twice()) == ["abc", "xyz"], "a second loop"

    async def close() -> None:
        await client.close()
        with pytest.raises(UsageError, match="closed"):
            await client.generate("abc")

    asyncio.run(close())


def test_a_stream_without_a_loop_says_what_to_do(address: str) -> None:
    with pytest.raises(UsageError, match="no event loop runs"):
        AsyncClient(address).stream("abc")


def test_the_client_works_where_a_loop_runs_as_in_a_notebook(address: str) -> None:
    async def cell() -> str:
        with Client(address) as client:
            return client.generate("abc").text

    assert asyncio.run(cell()) == "abc"


def test_an_interpreter_ends_with_a_stream_open(address: str) -> None:
    code = """
client = cluster.connect(address)
stream = client.stream("abcdefgh")
print(next(stream).text)
"""
    assert run_program(code, address).split() == ["a"]


def test_an_interpreter_ends_while_a_call_is_being_looked_after(address: str) -> None:
    code = """
inside = threading.Event()
exec('''
import grpc._channel, threading, time

class Slow(threading.Condition):  # held long enough for the interpreter to end meanwhile
    def __exit__(self, *reason):
        if threading.current_thread() is not threading.main_thread():
            inside.set()
            time.sleep(0.2)
        return super().__exit__(*reason)

def slow(state, *args, first=grpc._channel._RPCState.__init__, **named):
    first(state, *args, **named)
    state.condition = Slow()

grpc._channel._RPCState.__init__ = slow
''', {"inside": inside})  # in names of its own, as gRPC would keep this program's alive with them
client = cluster.connect(address)
stream = client.stream("a")
print(next(stream).text)
inside.clear()
inside.wait(1)
"""
    assert run_program(code, address).split() == ["a"]


def test_results_are_plain_json(address: str) -> None:
    with Client(address) as client:
        results = [client.generate("abc", logprobs=2), *client.stream("ab"), client.status(), *client.intervals()]
    for result in (*results, SamplingParams(stop=("x",))):
        assert json.loads(json.dumps(asdict(result))), result
    assert json.loads(json.dumps(asdict(results[0])))["finish_reason"] == "stop"
    assert f"{results[0].finish_reason}" == "stop"
