"""What dies is named, nothing hangs, `up` repairs, `down` leaves nothing.

Most clusters here have no supervisor, so that `up` finds something to repair: what that one does, tests/fault shows.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

import cluster
from cluster import Completion
from cluster.api.errors import StageLostError
from cluster.node.processes import marked_pids
from cluster.wire.transport.channel import KEEPALIVE_TIME_MS, PING_TIMEOUT_MS
from tests.conftest import CliHome
from tests.proc import marked

ENDLESS = cluster.SamplingParams(max_tokens=None, ignore_eos=True)
ARGUMENTS = ("--demo", "--stages", "3", "-c", "1024", "--no-repair")


def wait_until(condition: object, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def stage_pid(home: CliHome, stage: int) -> int:
    shown = json.loads(home.run("status", "-o", "json").stdout)
    return int(shown["stages"][stage]["pid"])


@pytest.mark.parametrize("stage", [0, *(pytest.param(stage, marks=pytest.mark.slow) for stage in (1, 2))])
def test_a_killed_stage_is_named_and_repaired(stage: int, cli_home: CliHome) -> None:
    assert cli_home.run("up", *ARGUMENTS).returncode == 0
    with cluster.connect(cli_home.address, cli_home.client_secret) as client:
        stream = iter(client.stream("Once upon a time", ENDLESS))
        text = "".join(next(stream).text for _ in range(3))
        pid = stage_pid(cli_home, stage)
        killed_at = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(StageLostError, match=f"stage {stage}"):
            for event in stream:
                text += event.text
        assert time.monotonic() - killed_at < 5
        with pytest.raises(StageLostError, match=f"stage {stage}"):
            client.generate("Once")
        status = client.status()
        assert "degraded" in status.state
        assert f"stage {stage}" in status.state
    shown = cli_home.run("status")
    assert "lost" in shown.stdout
    repaired = cli_home.run("up")
    assert repaired.returncode == 0, repaired.stderr
    assert "repaired" in repaired.stderr
    with cluster.connect(cli_home.address, cli_home.client_secret) as client:
        assert client.status().state == "ready"
        assert client.generate("Once", max_tokens=4).token_ids


def test_a_killed_coordinator_is_replaced(cli_home: CliHome) -> None:
    assert cli_home.run("up", "--demo", "--no-repair").returncode == 0
    instance = str(cli_home.state()["instance"])
    before = cli_home.address
    coordinator = marked(instance, b"Coordinator")
    os.kill(coordinator[0], signal.SIGKILL)
    assert cli_home.run("run", "Once").returncode == 4
    done = cli_home.run("up")
    assert done.returncode == 0, done.stderr
    assert cli_home.address == before, "clients look for it there"
    assert cli_home.run("run", "Once", "-n", "3").returncode == 0


@pytest.mark.slow
def test_a_coordinator_that_stood_still_comes_back_by_itself(cli_home: CliHome) -> None:
    """Longer than its peers wait for it. Nobody types `cluster up`."""
    assert cli_home.run("up", "--demo", "-c", "1024").returncode == 0
    instance, address = str(cli_home.state()["instance"]), cli_home.address
    (coordinator,) = marked(instance, b"Coordinator")
    os.kill(coordinator, signal.SIGSTOP)
    stood_still = threading.Event()
    assert not stood_still.wait((KEEPALIVE_TIME_MS + PING_TIMEOUT_MS) / 1000 + 2)  # the time itself is the fault
    os.kill(coordinator, signal.SIGCONT)
    with cluster.connect(address, cli_home.client_secret) as client:
        wait_until(lambda: isinstance(client.generate(["Once"], max_tokens=4, return_errors=True)[0], Completion), 30)
        assert client.status().state == "ready"
    assert "already up and ready" in cli_home.run("up").stderr


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [0.3, 1.5, 4.0, 6.0])
def test_down_after_up_was_killed_leaves_nothing(after_s: float, cli_home: CliHome) -> None:
    process = cli_home.start("up", "--demo")
    with process:
        time.sleep(after_s)
        process.kill()
        process.communicate()
    state = cli_home.state() if cli_home.state_file.exists() else None
    assert cli_home.run("down").returncode == 0
    assert not cli_home.state_file.exists()
    if state is not None:
        assert marked_pids(str(state["instance"])) == []
        assert not Path(str(state["run_folder"])).exists()


def test_down_leaves_no_process_and_no_file(cli_home: CliHome) -> None:
    assert cli_home.run("up", "--demo").returncode == 0
    state = cli_home.state()
    instance = str(state["instance"])
    assert len(marked_pids(instance)) >= 4
    assert cli_home.run("down").returncode == 0
    assert marked_pids(instance) == []
    assert not Path(str(state["run_folder"])).exists()
    assert not cli_home.state_file.exists()
    partial = [path for path in (cli_home.root / "cache").rglob("*") if path.suffix == ".part"]
    assert partial == []


@pytest.mark.slow
def test_up_after_a_crash_of_everything(cli_home: CliHome) -> None:
    """The machine lost power, so to speak: the state file points to nothing that lives."""
    assert cli_home.run("up", "--demo").returncode == 0
    for pid in marked_pids(str(cli_home.state()["instance"])):
        with suppress(ProcessLookupError):  # some end with the one before
            os.kill(pid, signal.SIGKILL)
    done = cli_home.run("up", "--demo")
    assert done.returncode == 0, done.stderr
    assert "cleaning up" in done.stderr
    assert cli_home.run("run", "Once", "-n", "3").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("repair", ["--repair", "--no-repair"])
def test_foreground_repairs_and_ends_on_sigterm(repair: str, cli_home: CliHome) -> None:
    """A supervisor replaces stages; Ray, in which that one lives itself, is for who stays in the foreground."""
    process = cli_home.start("up", "--demo", "--foreground", repair)
    with process:
        try:
            wait_until(lambda: cli_home.state_file.exists() and cli_home.state()["ready"], 60)
            state = cli_home.state()
            os.kill(stage_pid(cli_home, 1), signal.SIGKILL)
            wait_until(lambda: cli_home.run("run", "Once", "-n", "1").returncode == 0, 60)
            raylet = next(pid for kind, pid, _ in cli_home.state()["ray_processes"] if kind == "raylet")  # type: ignore[attr-defined]
            os.kill(raylet, signal.SIGKILL)
            wait_until(lambda: cli_home.state_file.exists() and cli_home.state()["instance"] != state["instance"], 60)
            wait_until(lambda: cli_home.state_file.exists() and cli_home.state()["ready"], 60)
            first, state = state, cli_home.state()
            assert marked_pids(str(first["instance"])) == []
            process.send_signal(signal.SIGTERM)
            _, notes = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, notes
    assert ("repairing" in notes) is (repair == "--no-repair")
    assert notes.count("cleaning up") == 1
    assert marked_pids(str(state["instance"])) == []


@pytest.mark.slow
@pytest.mark.parametrize("line", ["starting Ray", "stage 0: cutting"])
def test_a_service_that_is_told_to_stop_while_it_starts_leaves_nothing(line: str, cli_home: CliHome) -> None:
    with cli_home.start("up", "--demo", "--foreground") as process:
        assert process.stderr is not None
        while line not in process.stderr.readline():
            assert process.poll() is None
        state = cli_home.state()
        process.send_signal(signal.SIGTERM)
        _, notes = process.communicate(timeout=60)
    assert process.returncode != 0, notes
    assert "Traceback" not in notes
    assert not cli_home.state_file.exists()
    assert marked_pids(str(state["instance"])) == []
    assert not Path(str(state["run_folder"])).exists()


@pytest.mark.slow
def test_stopped_stages_delay_nobody_for_long_and_are_replaced(cli_home: CliHome) -> None:
    """They live, and hold their names, but answer nothing: neither gRPC nor Ray."""
    assert cli_home.run("up", *ARGUMENTS).returncode == 0
    pids = [stage_pid(cli_home, stage) for stage in range(3)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for _ in range(2):
        asked_at = time.monotonic()
        assert cli_home.run("status").returncode == 0
        assert time.monotonic() - asked_at < 9
    wait_until(lambda: "lost" in cli_home.run("status").stdout, 30)
    done = cli_home.run("up")
    assert done.returncode == 0, done.stderr
    assert "repaired" in done.stderr
    assert cli_home.run("run", "Once", "-n", "3").returncode == 0
    assert not set(pids) & {stage_pid(cli_home, stage) for stage in range(3)}


@pytest.mark.slow
def test_two_stages_that_die_at_once_are_replaced_at_once(cli_home: CliHome) -> None:
    assert cli_home.run("up", *ARGUMENTS).returncode == 0
    for pid in [stage_pid(cli_home, 0), stage_pid(cli_home, 2)]:
        os.kill(pid, signal.SIGKILL)
    done = cli_home.run("up")
    assert done.returncode == 0, done.stderr
    assert cli_home.run("run", "Once", "-n", "3").returncode == 0


@pytest.mark.slow
def test_a_coordinator_that_dies_in_the_middle_of_a_repair(cli_home: CliHome) -> None:
    """The repair fails, and everything is started anew by the same process, with another Ray."""
    assert cli_home.run("up", *ARGUMENTS).returncode == 0
    before = cli_home.state()
    os.kill(stage_pid(cli_home, 0), signal.SIGKILL)
    process = cli_home.start("up")
    with process:
        assert process.stderr is not None
        while "stage 0: cutting" not in process.stderr.readline():
            assert process.poll() is None
        coordinator = marked(str(before["instance"]), b"Coordinator")
        os.kill(coordinator[0], signal.SIGKILL)
        _, notes = process.communicate(timeout=120)
    assert process.returncode == 0, notes
    assert "cleaning up" in notes
    assert marked_pids(str(before["instance"])) == []
    assert cli_home.run("run", "Once", "-n", "3").returncode == 0


@pytest.mark.slow
def test_a_cluster_is_not_repaired_with_another_model(cli_home: CliHome, demo_model: Path) -> None:
    model = cli_home.root / "model.gguf"
    shutil.copy(demo_model, model)
    assert cli_home.run("up", str(model), "--stages", "2", "-c", "64", "--no-repair").returncode == 0
    os.kill(stage_pid(cli_home, 1), signal.SIGKILL)
    changed = bytearray(demo_model.read_bytes())
    changed[-20] ^= 1
    model.unlink()  # the living stage still has the old one mapped
    model.write_bytes(changed)
    refused = cli_home.run("up")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1].startswith(f"cluster: {model}: not the model any more")
    shutil.copy(demo_model, model)
    assert cli_home.run("up").returncode == 0
    assert cli_home.run("run", "Once", "-n", "3").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("line", ["starting Ray", "stage 0: cutting"])
def test_an_interrupted_up_leaves_nothing(line: str, cli_home: CliHome) -> None:
    process = cli_home.start("up", "--demo")
    with process:
        assert process.stderr is not None
        while line not in process.stderr.readline():
            assert process.poll() is None
        state = cli_home.state()
        process.send_signal(signal.SIGINT)
        _, notes = process.communicate(timeout=60)
    assert process.returncode == 130, notes
    assert notes.splitlines()[-1] == "cluster: interrupted"
    assert not cli_home.state_file.exists()
    assert marked_pids(str(state["instance"])) == []
    assert not Path(str(state["run_folder"])).exists()
