"""Stages that are killed under eight streams, and who repairs them: the streams only pause, and nobody types anything.

Numbers in names are those of the list of fault tests in docs/reliability.md.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

import cluster
from cluster.actors.supervising.pace import STEADY_S
from cluster.api.results import TokenEvent
from tests.conftest import CliHome, UpCluster
from tests.fakes.wire_backends import wait_until
from tests.proc import marked

NUM_STREAMS = 8
NUM_TOKENS = 160


@dataclass
class Stream:
    """What one client was told, and when. It is read in a thread of its own."""

    events: list[TokenEvent] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    error: Exception | None = None

    def read(self, client: cluster.Client, prompt: str, seed: int) -> None:
        params = {"max_tokens": NUM_TOKENS, "temperature": 0.8, "seed": seed, "ignore_eos": True}
        try:
            for event in client.stream(prompt, **params):
                self.events.append(event)
                self.times_s.append(time.monotonic())
        except Exception as error:
            self.error = error

    @property
    def tokens(self) -> list[int]:
        return [event.token for event in self.events if event.token is not None]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events)

    @property
    def gap_s(self) -> float:
        return max(later - earlier for earlier, later in zip(self.times_s, self.times_s[1:], strict=False))


@pytest.fixture(scope="module")
def home(up_cluster: UpCluster) -> Iterator[CliHome]:
    with up_cluster("--demo", "--stages", "3", "--no-http") as home:
        yield home


def processes(home: CliHome, *names: bytes) -> set[int]:
    """Those of the cluster that Ray shows by one of these names."""
    return set(marked(str(home.state()["instance"]), *names))


def wait_ready(home: CliHome) -> None:
    """Until all is as it was, a process that is started ahead included."""
    with cluster.connect(home.address, home.client_secret) as client:
        wait_until(lambda: client.status().state == "ready", 60)
    wait_until(lambda: bool(processes(home, b"ray::IDLE")), 60)


def stage_pids(home: CliHome) -> list[int]:
    with cluster.connect(home.address, home.client_secret) as client:
        return [stage.pid for stage in client.status().stages]


def streams_of(home: CliHome, during: object = None) -> list[Stream]:
    """Eight streams, read to their ends; `during` is called while they run."""
    streams = [Stream() for _ in range(NUM_STREAMS)]
    with cluster.connect(home.address, home.client_secret) as client:
        threads = [
            threading.Thread(target=stream.read, args=(client, f"Once upon a time number {place}", place))
            for place, stream in enumerate(streams)
        ]
        for thread in threads:
            thread.start()
        if callable(during):
            wait_until(lambda: all(len(stream.tokens) > 20 for stream in streams), 60)
            during()
        for thread in threads:
            thread.join(120)
            assert not thread.is_alive()
    return streams


def check(streams: list[Stream]) -> None:
    """Indices without a gap, one end, and text that is that of the tokens."""
    for stream in streams:
        assert stream.error is None
        last = stream.events[-1]
        assert last.finish_reason == "length"
        assert last.timings is not None
        assert last.timings.num_tokens == len(stream.tokens) == NUM_TOKENS
        assert sum(event.finish_reason is not None for event in stream.events) == 1


def longest_s(streams: list[Stream]) -> float:
    return max(stream.gap_s for stream in streams)


@pytest.mark.parametrize("stages", [(0,), (1,), (2,), (0, 2)], ids=str)
def test_fault_01_kill_9_under_eight_streams(stages: tuple[int, ...], home: CliHome) -> None:
    def kill() -> None:
        for stage, pid in enumerate(stage_pids(home)):
            if stage in stages:
                os.kill(pid, signal.SIGKILL)

    wait_ready(home)
    undisturbed = streams_of(home)
    check(undisturbed)
    with cluster.connect(home.address, home.client_secret) as client:
        before = client.status()
    disturbed = streams_of(home, kill)
    check(disturbed)
    with cluster.connect(home.address, home.client_secret) as client:
        for stream in disturbed:
            assert client.detokenize(stream.tokens) == stream.text
        # Steps of other numbers of rows are rounded otherwise, so that a draw near a border may be another one.
        alike = [before.tokens[:20] == after.tokens[:20] for before, after in zip(undisturbed, disturbed, strict=True)]
        assert sum(alike) > NUM_STREAMS // 2
        after = client.status()
    assert after.num_slots_used == 0
    assert after.num_recoveries == before.num_recoveries + 1
    assert after.num_replayed >= before.num_replayed + 20 * NUM_STREAMS
    print(f"stages {stages}: the longest pause {longest_s(disturbed):.2f} s, {after.lost_s - before.lost_s:.2f} s lost")


def test_fault_04_who_repairs_is_killed_and_then_a_stage(home: CliHome) -> None:
    wait_ready(home)
    (supervisor,) = processes(home, b"ray::Supervisor")
    os.kill(supervisor, signal.SIGKILL)
    disturbed = streams_of(home, lambda: os.kill(stage_pids(home)[1], signal.SIGKILL))
    check(disturbed)
    assert processes(home, b"ray::Supervisor") not in ({supervisor}, set())
    print(f"with its supervisor: the longest pause {longest_s(disturbed):.2f} s")


def test_who_repairs_is_killed_while_it_repairs(home: CliHome) -> None:
    def kill() -> None:
        (supervisor,) = processes(home, b"ray::Supervisor")
        os.kill(stage_pids(home)[2], signal.SIGKILL)
        lock = home.state_file.with_suffix(".lock")
        wait_until(lambda: "repair" in lock.read_text(), 20)
        os.kill(supervisor, signal.SIGKILL)

    wait_ready(home)
    disturbed = streams_of(home, kill)
    check(disturbed)
    print(f"with its supervisor at work: the longest pause {longest_s(disturbed):.2f} s")


def test_fault_05_the_coordinator_is_replaced_where_it_was(home: CliHome) -> None:
    wait_ready(home)
    address, pids = home.address, stage_pids(home)
    (killed,) = processes(home, b"ray::Coordinator")
    os.kill(killed, signal.SIGKILL)
    began_s = time.monotonic()
    wait_until(lambda: killed not in processes(home, b"ray::Coordinator"), 60)
    wait_until(lambda: answers(address, home), 60)
    print(f"the coordinator: served again after {time.monotonic() - began_s:.2f} s")
    assert home.address == address
    assert stage_pids(home) == pids, "they keep their weights"


def answers(address: str, home: CliHome) -> bool:
    try:
        with cluster.connect(address, home.client_secret) as client:
            return bool(client.generate("Once", max_tokens=3).token_ids)
    except cluster.ClusterError:
        return False


def test_fault_07_a_crash_loop_has_an_end_and_one_clear_state(home: CliHome) -> None:
    """Whatever takes the place of stage 1 is killed as soon as it is there."""
    wait_ready(home)
    time.sleep(STEADY_S + 1)  # so that repairs of before are not counted
    kept, killed_s = stage_pids(home), []
    kept.remove(kept[1])
    with cluster.connect(home.address, home.client_secret) as client:
        deadline_s = time.monotonic() + 180
        while "gave up" not in client.status().state:
            assert time.monotonic() < deadline_s, client.status().state
            for pid in processes(home, b"ray::StageWorker") - set(kept):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed_s.append(time.monotonic())
            time.sleep(0.05)
        state = client.status().state
        print(f"{state}; killed after {[round(at_s - killed_s[0], 1) for at_s in killed_s]} s")
        assert state.startswith("degraded: stage 1 is lost: ")
        assert "gave up after 8 repairs in a row: stage 1: its process died" in state
        assert state.endswith("run cluster up")
        quiet_s = time.monotonic() + 6  # longer than the longest pause
        while time.monotonic() < quiet_s:
            assert processes(home, b"ray::StageWorker") == set(kept)
            time.sleep(0.2)
        said = home.run("logs", "supervisor", "-n", "100").stdout
        assert said.count("not repaired: stage 1: its process died") == 8
        done = home.run("up")
        assert done.returncode == 0, done.stderr
        assert "gave up after 8 repairs" in done.stderr
        assert client.status().state == "ready"
        os.kill(stage_pids(home)[1], signal.SIGKILL)
        assert client.generate("Once", max_tokens=3).token_ids, "it is watched again"
