"""A coordinator that is killed under eight streams: another one takes its place, and they go on."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

import cluster
from cluster.coordinator.journal.frames import Frames
from cluster.coordinator.journal.records import record_in
from cluster.node.home import JOURNAL
from cluster.wire.inference.held import HOLD_S
from tests.conftest import CliHome, UpCluster
from tests.fakes.bad_road import BadRoad
from tests.fakes.wire_backends import wait_until
from tests.fault.streams import (
    NUM_TOKENS,
    Stream,
    check,
    check_alike,
    happen,
    processes,
    stage_pids,
    streams_of,
    wait_ready,
)
from tests.fault.table import NUM_RUNS, Incident, Table

pytestmark = pytest.mark.ray

NUM_CUTS, BETWEEN_S = 5, 0.3


@pytest.fixture(scope="module")
def home(up_cluster: UpCluster) -> Iterator[CliHome]:
    with up_cluster("--demo", "--stages", "2", "--no-http") as home:
        yield home


@pytest.fixture(scope="module")
def undisturbed(home: CliHome) -> list[Stream]:
    return streams_of(home)


def kill_coordinator(home: CliHome) -> None:
    (pid,) = processes(home, b"ray::Coordinator")
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("run", range(NUM_RUNS))
def test_fault_05_kill_9_of_the_coordinator(run: int, home: CliHome, undisturbed: list[Stream], table: Table) -> None:
    wait_ready(home)
    address, pids = home.address, stage_pids(home)
    disturbed = happen(home, table, "kill -9 of the coordinator", lambda: kill_coordinator(home))
    check_alike(undisturbed, disturbed)
    assert home.address == address
    assert stage_pids(home) == pids, "they keep their weights"


@pytest.mark.slow
@pytest.mark.parametrize("run", range(NUM_RUNS))
def test_fault_04_the_coordinator_and_a_stage_die(
    run: int, home: CliHome, undisturbed: list[Stream], table: Table
) -> None:
    def kill() -> None:
        os.kill(stage_pids(home)[1], signal.SIGKILL)
        kill_coordinator(home)

    wait_ready(home)
    check_alike(undisturbed, happen(home, table, "kill -9 of stage 1 of 2 and of the coordinator", kill))


@pytest.mark.slow
@pytest.mark.parametrize("run", range(NUM_RUNS))
def test_fault_05_a_coordinator_that_dies_again(
    run: int, home: CliHome, undisturbed: list[Stream], table: Table
) -> None:
    """The one in its place is killed as soon as it answers."""

    def kill() -> None:
        kill_coordinator(home)
        wait_ready(home)
        kill_coordinator(home)

    wait_ready(home)
    check_alike(undisturbed, happen(home, table, "kill -9 of the coordinator, twice", kill))


def test_texts_that_are_wanted_whole_go_on(home: CliHome) -> None:
    prompts = [f"Once upon a time number {place}" for place in range(12)]
    params = cluster.SamplingParams(max_tokens=150, temperature=0.0, ignore_eos=True)

    async def ask() -> list[cluster.Completion]:
        async with await cluster.AsyncClient.connect(home.address, home.client_secret) as client:
            asked = asyncio.create_task(client.generate(prompts, params))
            await asyncio.sleep(0.3)
            await asyncio.to_thread(kill_coordinator, home)
            return await asked

    wait_ready(home)
    found = asyncio.run(ask())
    assert [len(one.token_ids) for one in found] == [150] * 12
    with cluster.connect(home.address, home.client_secret) as client:
        assert [client.detokenize(one.token_ids) for one in found] == [one.text for one in found]
        wait_until(lambda: client.status().num_slots_used == 0, 10)


@pytest.mark.parametrize("run", range(NUM_RUNS))
def test_a_client_whose_connection_breaks_goes_on(
    run: int, home: CliHome, undisturbed: list[Stream], table: Table
) -> None:
    """Again and again: nothing is computed again, and nobody else notices."""

    def cut() -> None:
        for _ in range(NUM_CUTS):
            road.reset()
            time.sleep(BETWEEN_S)

    wait_ready(home)
    with cluster.connect(home.address, home.client_secret) as client, closing(BadRoad(home.address)) as road:
        before = client.status()
        disturbed = streams_of(home, cut, address=road.address)
        after = client.status()
        assert (after.epoch, after.num_recoveries) == (before.epoch, before.num_recoveries)
        assert after.num_replayed == before.num_replayed
    table.add("a client's connection cut five times", Incident(max(stream.gap_s for stream in disturbed)))
    check(home, disturbed)
    check_alike(undisturbed, disturbed)


def test_a_client_that_is_cut_off_leaves_its_slots_soon(home: CliHome) -> None:
    wait_ready(home)
    with (
        cluster.connect(home.address, home.client_secret) as client,
        closing(BadRoad(home.address)) as road,
        cluster.connect(road.address, home.client_secret) as other,
    ):
        stream = other.stream("Once upon a time", max_tokens=100_000, ignore_eos=True)
        next(stream)
        road.close()
        begin_s = time.monotonic()
        wait_until(lambda: client.status().num_slots_used == 0, HOLD_S + 10)
        assert time.monotonic() - begin_s > HOLD_S / 2, "it might have come back"
        stream.close()


@pytest.mark.slow
def test_a_request_that_coordinators_die_of_ends_alone(home: CliHome) -> None:
    """The process is killed as soon as the journal says that it begins with that request."""
    wait_ready(home)
    poison, other, stopping = Stream(), Stream(), threading.Event()
    journal = home.state_file.with_name(JOURNAL)
    kills: list[int] = []

    def kill() -> None:
        while not stopping.is_set():
            alive = [pid for pid in processes(home, b"ray::Coordinator") if pid not in kills]
            while alive and Path(f"/proc/{alive[0]}").exists() and not stopping.is_set():
                if _tries_of_long_prompts(journal) == len(kills):
                    os.kill(alive[0], signal.SIGKILL)
                    kills.append(alive.pop())
                time.sleep(0.001)

    with cluster.connect(home.address, home.client_secret) as client:
        num_tokens = client.status().context_length - 20  # time passes before the first token comes
        readers = [threading.Thread(target=other.read, args=(client, "Once upon a time", 1, NUM_TOKENS))]
        readers.append(threading.Thread(target=poison.read, args=(client, [5] * num_tokens, 2, 10)))
        readers.append(threading.Thread(target=kill))
        for reader in readers:
            reader.start()
        for reader in readers[:2]:
            reader.join(120)
        stopping.set()
        readers[2].join()
    assert isinstance(poison.error, cluster.UnreachableError)
    assert str(poison.error) == "coordinator: it died 3 times while this was computed; do not ask for it again"
    assert len(kills) == 4
    check(home, [other])


def _tries_of_long_prompts(journal: Path) -> int:
    """-1 where none of them is open. What coordinators before this one said counts, too."""
    num_tries, serial = -1, 0
    with suppress(OSError, cluster.ClusterError), journal.open("rb") as file:
        for data in Frames(file):
            record = record_in(data)
            if len(record.begin.token_ids) > 300:
                serial, num_tries = record.begin.serial, 0
            num_tries += bool(serial) and record.again.serial == serial
    return num_tries


@pytest.mark.slow
def test_who_does_not_come_back_is_not_waited_for_for_ever(home: CliHome) -> None:
    wait_ready(home)
    with cluster.connect(home.address, home.client_secret) as client:
        streams = [client.stream("Once", max_tokens=None, ignore_eos=True) for _ in range(8)]
        for stream in streams:
            next(stream)
        kill_coordinator(home)
        for stream in streams:
            stream.close()
        assert len(client.generate("Once", max_tokens=8, ignore_eos=True).token_ids) == 8
