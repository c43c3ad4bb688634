"""Many prompts in one generate(), through both clients, against a real server with few slots and a short queue."""

from __future__ import annotations

import asyncio
import io
import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from cluster import AsyncClient, Client, Completion
from cluster.api.errors import CapacityError, ClusterError, StageLostError, UsageError
from cluster.api.results import TokenEvent
from cluster.api.sampling import SamplingParams
from cluster.api.status import ClusterStatus
from cluster.client.batch.batch import num_open_for
from cluster.client.progress import BatchProgress
from cluster.wire.access.endpoint import Listener
from cluster.wire.inference.server import InferenceServer
from tests.fakes.wire_backends import SECRET, EchoCluster, Spelled, no_thread_left, wait_until

Generate = Callable[..., Any]


class CrowdedCluster(EchoCluster):
    """Has 4 slots, and refuses requests above `most_open`."""

    def __init__(self) -> None:
        super().__init__()
        self.most_open = 1000
        self.num_refused = 0
        self.taken: list[str] = []

    def generate(
        self,
        token_ids: list[int],
        params: SamplingParams,
        sink: Callable[[TokenEvent | ClusterError], None],
        client: str,
        ticket: bytes = b"",
    ) -> Callable[[], None]:
        if self.num_open >= self.most_open:
            self.num_refused += 1
            raise CapacityError("queue: full, with 4 requests running and 0 waiting; try again later")
        self.taken.append(token_ids.text if isinstance(token_ids, Spelled) else str(token_ids))
        return super().generate(token_ids, params, sink, client, ticket)

    def status(self) -> ClusterStatus:
        return replace(super().status(), num_slots=4)


@pytest.fixture
def crowded() -> Iterator[tuple[CrowdedCluster, str]]:
    with no_thread_left():
        backend = CrowdedCluster()
        server = InferenceServer(backend, Listener(SECRET))
        address = server.start()
        yield backend, address
        server.stop()
        backend.join()


def generate_sync(address: str) -> Generate:
    def generate(*args: Any, **options: Any) -> Any:
        with Client(address, SECRET.text) as client:
            return client.generate(*args, **options)

    return generate


def generate_async(address: str) -> Generate:
    async def run(*args: Any, **options: Any) -> Any:
        async with AsyncClient(address, SECRET.text) as client:
            return await client.generate(*args, **options)

    return lambda *args, **options: asyncio.run(run(*args, **options))


@pytest.fixture(params=[generate_sync, generate_async], ids=["sync", "async"])
def generate(request: pytest.FixtureRequest, crowded: tuple[CrowdedCluster, str]) -> Generate:
    made: Generate = request.param(crowded[1])
    return made


@pytest.fixture
def backend(crowded: tuple[CrowdedCluster, str]) -> CrowdedCluster:
    return crowded[0]


PROMPTS = [f"{number:03}" for number in range(40)]


def texts(results: list[Any]) -> list[str]:
    return [one.text if isinstance(one, Completion) else type(one).__name__ for one in results]


def test_slots_are_full_and_the_order_is_kept(generate: Generate, backend: CrowdedCluster) -> None:
    backend.pause_s = 0.005
    assert texts(generate(PROMPTS)) == PROMPTS
    assert 4 <= backend.max_open <= num_open_for(4) == 6


def test_a_thousand_prompts(generate: Generate, backend: CrowdedCluster) -> None:
    prompts = [f"{number:04}" for number in range(1000)]
    assert texts(generate(prompts, max_tokens=4)) == prompts


def test_a_full_queue_is_asked_again(generate: Generate, backend: CrowdedCluster) -> None:
    backend.most_open, backend.pause_s = 2, 0.005
    assert texts(generate(PROMPTS)) == PROMPTS
    assert backend.num_refused > 0


def test_a_queue_that_stays_full_is_an_error_in_the_end(
    generate: Generate, backend: CrowdedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.client.batch.batch.REFUSED_TIMEOUT_S", 0.3)
    backend.most_open = 0
    with pytest.raises(CapacityError, match="queue: full"):
        generate(["a", "b"])
    assert backend.num_refused > 2


def test_one_that_fails_does_not_lose_the_others(generate: Generate, backend: CrowdedCluster) -> None:
    prompts = [*PROMPTS[:10], "unsupported", *PROMPTS[10:20], ""]
    wanted = [*PROMPTS[:10], "UnsupportedModelError", *PROMPTS[10:20], "UsageError"]
    with pytest.raises(ClusterError, match="architecture: x is unknown") as raised:
        generate(prompts)
    assert texts(list(raised.value.completions)) == wanted
    assert texts(generate(prompts, return_errors=True)) == wanted


def test_a_lost_cluster_ends_the_batch(generate: Generate, backend: CrowdedCluster) -> None:
    """What was not sent is not sent any more; what was finished is there."""
    backend.pause_s = 0.005
    with pytest.raises(StageLostError, match="stage 1 on node") as raised:
        generate([*PROMPTS[:10], "lost", *PROMPTS[10:]])
    found = texts(list(raised.value.completions))
    assert found[:4] == PROMPTS[:4]
    assert (len(found), found[-1]) == (41, "StageLostError")
    assert len(backend.taken) < 41


def test_wrong_arguments_are_refused_before_anything_is_sent(generate: Generate, backend: CrowdedCluster) -> None:
    for arguments, options in (
        ((["a", 1.5],), {}),
        ((["a"],), {"temprature": 1}),
        ((["a"],), {"progress": "yes"}),
        (("a",), {"return_errors": True}),
    ):
        with pytest.raises(UsageError):
            generate(*arguments, **options)
    assert not backend.taken


def test_an_iterator_of_prompts(generate: Generate, backend: CrowdedCluster) -> None:
    def prompts() -> Iterator[Any]:
        for number, prompt in enumerate(PROMPTS):
            yield prompt
            if number == 4:
                yield ["not", "a", "prompt"]

    found = generate(prompts(), return_errors=True)
    assert texts(found) == [*PROMPTS[:5], "UsageError", *PROMPTS[5:]]
    assert generate(iter([])) == []


def test_an_iterator_is_not_read_ahead(generate: Generate, backend: CrowdedCluster) -> None:
    taken = 0

    def prompts() -> Iterator[str]:
        nonlocal taken
        for taken in itertools.count(1):
            yield "lost" if taken == 20 else "ab"

    with pytest.raises(StageLostError) as raised:
        generate(prompts())
    assert len(raised.value.completions) == taken < 40


def test_an_iterator_that_fails_cancels_the_batch(generate: Generate, backend: CrowdedCluster) -> None:
    def prompts() -> Iterator[str]:
        yield "wait"
        raise KeyError("of the caller")

    with pytest.raises(KeyError, match="of the caller"):
        generate(prompts())
    wait_until(lambda: backend.num_open == 0)


def test_interrupt_frees_the_slots(generate: Generate, backend: CrowdedCluster) -> None:
    def interrupt() -> None:
        wait_until(lambda: backend.num_open == 6)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            generate(["wait"] * 50)
        wait_until(lambda: backend.num_open == 0)
        assert len(backend.taken) == 6
    finally:
        thread.join()
        signal.signal(signal.SIGINT, old)


def test_progress_is_told(generate: Generate, backend: CrowdedCluster, capfd: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[int, int]] = []
    generate(PROMPTS, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, len(PROMPTS)) for done in range(1, len(PROMPTS) + 1)]
    generate(PROMPTS)  # stderr is no terminal here
    generate(PROMPTS, progress=False)
    assert capfd.readouterr().err == ""
    generate(PROMPTS, progress=True)
    assert "40/40 prompts" in capfd.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_a_line_that_moves() -> None:
    seconds = itertools.count(0, 0.3)
    screen = Terminal()
    with BatchProgress(None, screen, lambda: next(seconds)) as report:
        for done in range(1, 5):
            report(done, 4)
    lines = screen.getvalue().split("\r")
    assert [line[line.index("]") + 2 :].split()[0] for line in lines if "]" in line] == ["2/4", "3/4", "4/4"]
    assert screen.getvalue().endswith("\n")


def test_a_short_batch_shows_nothing() -> None:
    screen = Terminal()
    with BatchProgress(None, screen, time.monotonic) as report:
        report(1, 1)
    assert screen.getvalue() == ""
