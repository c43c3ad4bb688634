"""Stages that are killed under eight streams, and who repairs them: the streams only pause, and nobody types anything.

Numbers in names are those of the list of fault tests in docs/reliability.md.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

import cluster
from cluster.actors.supervising.pace import STEADY_S
from tests.conftest import CliHome, UpCluster
from tests.fakes.wire_backends import wait_until
from tests.fault.streams import (
    NUM_BEFORE,
    NUM_STREAMS,
    Stream,
    check_alike,
    happen,
    processes,
    stage_pids,
    streams_of,
    wait_ready,
)
from tests.fault.table import NUM_RUNS, Table

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def home(up_cluster: UpCluster) -> Iterator[CliHome]:
    with up_cluster("--demo", "--stages", "3", "--no-http") as home:
        yield home


@pytest.fixture(scope="module")
def undisturbed(home: CliHome) -> list[Stream]:
    return streams_of(home)


def kill_stages(home: CliHome, stages: tuple[int, ...], sign: signal.Signals = signal.SIGKILL) -> None:
    for stage, pid in enumerate(stage_pids(home)):
        if stage in stages:
            os.kill(pid, sign)


@pytest.mark.parametrize("run", range(NUM_RUNS))
@pytest.mark.parametrize("stages", [(0,), (1,), (2,), pytest.param((0, 2), marks=pytest.mark.slow)], ids=str)
def test_fault_01_kill_9(
    stages: tuple[int, ...], run: int, home: CliHome, undisturbed: list[Stream], table: Table
) -> None:
    wait_ready(home)
    with cluster.connect(home.address, home.client_secret) as client:
        before = client.status()
    which = " and ".join(map(str, stages))
    disturbed = happen(home, table, f"kill -9 of stage {which} of 3", lambda: kill_stages(home, stages))
    check_alike(undisturbed, disturbed)
    with cluster.connect(home.address, home.client_secret) as client:
        after = client.status()
    assert after.num_recoveries > before.num_recoveries
    assert after.num_replayed >= before.num_replayed + NUM_BEFORE * NUM_STREAMS
    assert after.num_replayed - before.num_replayed == sum(replayed(home, stages))
    by_all, by_lost = replayed(home, stages)
    assert by_lost > 4 * by_all, "what the others hold is not computed again, but for a text that had just begun"


def replayed(home: CliHome, stages: tuple[int, ...]) -> tuple[int, int]:
    """Tokens that all stages computed again of late, and those that `stages` did alone."""
    said = home.run("logs", "coordinator").stdout
    found = re.findall(
        rf"(\d+) tokens are computed again by all stages, and (\d+) by stages {re.escape(str([*stages]))} alone", said
    )
    return int(found[-1][0]), int(found[-1][1])


@pytest.mark.slow
@pytest.mark.parametrize("run", range(NUM_RUNS))
def test_fault_04_all_stages_die(run: int, home: CliHome, undisturbed: list[Stream], table: Table) -> None:
    wait_ready(home)
    disturbed = happen(home, table, "kill -9 of all 3 stages", lambda: kill_stages(home, (0, 1, 2)))
    check_alike(undisturbed, disturbed)


@pytest.mark.slow
@pytest.mark.parametrize("run", range(NUM_RUNS))
def test_fault_03_a_stage_that_stands_still(run: int, home: CliHome, undisturbed: list[Stream], table: Table) -> None:
    """It is stopped, replaced, and wakes up again: what it says then is of an epoch that is over."""
    wait_ready(home)
    stopped = stage_pids(home)[1]
    disturbed = happen(home, table, "SIGSTOP of stage 1 of 3", lambda: os.kill(stopped, signal.SIGSTOP))
    with suppress(ProcessLookupError):
        os.kill(stopped, signal.SIGCONT)
    check_alike(undisturbed, disturbed)


@pytest.mark.slow
@pytest.mark.parametrize("run", range(NUM_RUNS))
def test_fault_08_a_stage_that_aborts(run: int, home: CliHome, undisturbed: list[Stream], table: Table) -> None:
    wait_ready(home)
    abort = "SIGABRT of stage 2 of 3, as of ggml_abort()"
    disturbed = happen(home, table, abort, lambda: kill_stages(home, (2,), signal.SIGABRT))
    check_alike(undisturbed, disturbed)


@pytest.mark.parametrize("run", range(NUM_RUNS))
def test_fault_04_who_repairs_is_killed_and_then_a_stage(run: int, home: CliHome, table: Table) -> None:
    wait_ready(home)
    (supervisor,) = processes(home, b"ray::Supervisor")
    os.kill(supervisor, signal.SIGKILL)
    happen(home, table, "kill -9 of the supervisor, then of stage 1", lambda: kill_stages(home, (1,)))
    assert processes(home, b"ray::Supervisor") not in ({supervisor}, set())


@pytest.mark.slow
@pytest.mark.parametrize("run", range(NUM_RUNS))
def test_who_repairs_is_killed_while_it_repairs(run: int, home: CliHome, table: Table) -> None:
    def kill() -> None:
        (supervisor,) = processes(home, b"ray::Supervisor")
        kill_stages(home, (2,))
        lock = home.state_file.with_suffix(".lock")
        wait_until(lambda: "repair" in lock.read_text(), 20)
        os.kill(supervisor, signal.SIGKILL)

    wait_ready(home)
    happen(home, table, "kill -9 of stage 2, and of the supervisor while it repairs", kill)


@pytest.mark.slow
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
