"""Who may speak to a cluster that is up, and how those who may find its secret."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import cluster
from cluster.api.errors import CapacityError, UnauthenticatedError
from cluster.node.processes import marked_pids
from cluster.node.secret import Secret, write_secret
from cluster.wire.limits import MAX_COUNT
from tests.conftest import CliHome, UpCluster
from tests.fakes.wire_backends import wait_until
from tests.other_user import needs_other_user, run_as_other

ARGUMENTS = ("--demo", "--stages", "2", "-c", "128")

# In the process of a driver, as `cluster up` is one: stage 0 is wired for an epoch of the caller's choice.
WIRE = """
import sys
from cluster.actors.lifecycle import _launch
from cluster.messages.stage import Wiring
from cluster.node.state import read_state
from tests.fakes.wire_backends import make_hello
with _launch(read_state()) as launch:
    import ray  # finds the head by what _launch has set

    stage = launch._actors.living(["stage-0"])["stage-0"]
    ray.get(stage.wire.remote(Wiring(make_hello(stage=0, epoch=int(sys.argv[1])))))
"""


def run_python(home: CliHome, code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=home.environment | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_user_who_started_it_needs_no_secret_and_others_do(up_cluster: UpCluster, tmp_path: Path) -> None:
    with up_cluster(*ARGUMENTS) as home:
        printed = f'import cluster; print(cluster.connect("{home.address}").generate("Once", max_tokens=4).text)'
        assert run_python(home, printed).returncode == 0
        assert home.run("run", "Once", "-n", "2").returncode == 0
        assert home.run("run", "Once", "-n", "2", "--address", home.address).returncode == 0

        elsewhere = {"XDG_STATE_HOME": str(tmp_path)}
        refused = run_python(home, printed, **elsewhere)
        assert "UnauthenticatedError" in refused.stderr
        with pytest.raises(UnauthenticatedError):
            cluster.connect(home.address, "00" * 32)
        assert run_python(home, printed, **elsewhere, CLUSTER_SECRET_FILE=str(home.client_secret)).returncode == 0
        assert run_python(home, printed, **elsewhere, CLUSTER_SECRET=home.client_secret.read_text()).returncode == 0
        _check_that_nobody_sees_it(home)


@pytest.mark.slow
def test_one_client_does_not_take_it_all(up_cluster: UpCluster) -> None:
    """All slots and all places in the queue are one client's when another comes: it gets the next slot."""
    with (
        up_cluster("--demo", "--stages", "2", "-c", "1024", "--parallel", "2", "--max-waiting", "4") as home,
        cluster.connect(home.address, home.client_secret) as greedy,
    ):
        endless = cluster.SamplingParams(max_tokens=None, ignore_eos=True, seed=1)
        streams = [greedy.stream("Once", endless) for _ in range(6)]
        wait_until(lambda: (greedy.status().num_slots_used, greedy.status().num_waiting) == (2, 4))
        assert home.run("run", "One day", "-n", "3").returncode == 0, "a process of its own is another client"
        status = greedy.status()
        assert status.num_slots_used + status.num_waiting > 0, "the greedy one is not done yet"
        ends = []
        for stream in streams:
            try:
                ends.append(list(stream)[-1].finish_reason)
            except CapacityError as error:
                ends.append(str(error))
        assert [str(end).startswith("queue: full") for end in ends] == [False] * 5 + [True], "the newest gave way"


def _check_that_nobody_sees_it(home: CliHome) -> None:
    """Not in what all users may read, and not in what children and core dumps get with the environment."""
    files = [home.client_secret, home.state_file.with_name("secret")]
    secrets = [file.read_bytes().strip() for file in files]
    pids = marked_pids(str(home.state()["instance"]))
    assert len(pids) > 3
    for pid in pids:
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max core file size +0 ", limits), f"{pid} would leave what it knows in a core dump"
        for shown in ("cmdline", "environ"):
            content = Path(f"/proc/{pid}/{shown}").read_bytes()
            assert not any(secret in content for secret in secrets), f"{shown} of {pid}"
    assert not any(secret in home.state_file.read_bytes() for secret in secrets)
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)


@needs_other_user
def test_another_user_reads_no_secret(up_cluster: UpCluster) -> None:
    look = """
for path in sys.argv[1:]:
    try:
        open(path, "rb").read()
        print("read", path)
    except PermissionError:
        print("refused")
"""
    with up_cluster(*ARGUMENTS) as home:
        pids = marked_pids(str(home.state()["instance"]))
        paths = [str(home.client_secret), str(home.state_file.with_name("secret"))]
        done = run_as_other(look, *paths, *(f"/proc/{pid}/environ" for pid in pids))
        assert done.stdout.split() == ["refused"] * (len(pids) + 2), done.stderr


@pytest.mark.slow
def test_up_overtakes_the_epoch_of_a_stage_or_replaces_it(up_cluster: UpCluster) -> None:
    with up_cluster(*ARGUMENTS, "--no-repair") as home:
        for stolen in (45, MAX_COUNT):
            done = run_python(home, WIRE, str(stolen), PYTHONPATH=os.getcwd())
            assert done.returncode == 0, done.stderr
            stages = json.loads(home.run("status", "-o", "json").stdout)["stages"]
            os.kill(stages[1]["pid"], signal.SIGKILL)
            repaired = home.run("up")
            assert repaired.returncode == 0, repaired.stderr
            assert "repaired" in repaired.stderr
            status = json.loads(home.run("status", "-o", "json").stdout)
            assert status["state"] == "ready"
            # The coordinator may have begun an epoch or two by itself in the meantime.
            assert 45 < status["epoch"] < 100
            assert (status["stages"][0]["pid"] == stages[0]["pid"]) is (stolen == 45), "only who cannot be overtaken"
            assert home.run("run", "Once", "-n", "3").returncode == 0


def test_a_cluster_whose_secret_is_gone_is_started_anew(up_cluster: UpCluster, tmp_path: Path) -> None:
    given = tmp_path / "given"
    write_secret(given, Secret.new())
    with up_cluster(*ARGUMENTS, "--client-secret-file", str(given)) as home:
        before = marked_pids(str(home.state()["instance"]))
        assert home.client_secret.read_text() == given.read_text(), "clients are asked for what was given"
        home.client_secret.unlink()
        assert home.run("run", "Once").returncode == 4
        cluster.connect(home.address, given).close()
        done = home.run("up")
        assert done.returncode == 0, done.stderr
        assert "cleaning up what is left of the former cluster" in done.stderr
        assert not set(before) & set(marked_pids(str(home.state()["instance"])))
        assert home.run("run", "Once", "-n", "3").returncode == 0
