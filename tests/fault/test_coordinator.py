"""A coordinator that is killed under eight streams: another one takes its place, and they go on."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

import cluster
from tests.conftest import CliHome
from tests.fakes.wire_backends import wait_until
from tests.fault.streams import check, check_alike, streams_of
from tests.proc import marked

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CliHome]:
    home = CliHome(tmp_path_factory.mktemp("fault"))
    try:
        done = home.run("up", "--demo", "--stages", "2", "--no-http")
        assert done.returncode == 0, done.stderr
        yield home
    finally:
        home.close()


def kill_coordinator(home: CliHome) -> None:
    (pid,) = marked(str(home.state()["instance"]), b"Coordinator")
    os.kill(pid, signal.SIGKILL)


def test_fault_05_kill_9_of_the_coordinator_under_eight_streams(home: CliHome) -> None:
    undisturbed = streams_of(home)
    check(home, undisturbed)
    address = home.address
    disturbed = streams_of(home, lambda: kill_coordinator(home))
    check(home, disturbed)
    check_alike(undisturbed, disturbed)
    assert home.address == address
    print(f"coordinator: the longest pause {max(stream.gap_s for stream in disturbed):.2f} s")


def test_texts_that_are_wanted_whole_go_on(home: CliHome) -> None:
    prompts = [f"Once upon a time number {place}" for place in range(12)]
    params = cluster.SamplingParams(max_tokens=150, temperature=0.0, ignore_eos=True)

    async def ask() -> list[cluster.Completion]:
        async with await cluster.AsyncClient.connect(home.address, home.client_secret) as client:
            asked = asyncio.create_task(client.generate(prompts, params))
            await asyncio.sleep(0.3)
            await asyncio.to_thread(kill_coordinator, home)
            return await asked

    found = asyncio.run(ask())
    assert [len(one.token_ids) for one in found] == [150] * 12
    with cluster.connect(home.address, home.client_secret) as client:
        assert [client.detokenize(one.token_ids) for one in found] == [one.text for one in found]
        wait_until(lambda: client.status().num_slots_used == 0, 10)


def test_whoever_does_not_come_back_leaves_nothing(home: CliHome) -> None:
    """Requests that nobody comes back for are computed on for a while, beside those of whoever does."""
    with cluster.connect(home.address, home.client_secret) as client:
        streams = [client.stream("Once", max_tokens=None, ignore_eos=True) for _ in range(8)]
        for stream in streams:
            next(stream)
        kill_coordinator(home)
        for stream in streams:
            stream.close()
        assert len(client.generate("Once", max_tokens=8, ignore_eos=True).token_ids) == 8
