"""The job for Slurm, under a real Slurm on three hosts: a model is served, and the end of the job leaves nothing."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.demo import model_path
from tests.deploy.files import DEPLOY
from tests.deploy.slurm import Slurm
from tests.deploy.tools import run, tool
from tests.net import rights
from tests.net.hosts import Host, Hosts

JOB = DEPLOY / "slurm" / "ggml-cluster.sbatch"
UP_TIMEOUT_S = 240
END_TIMEOUT_S = 90
NUM_HOSTS = 3


def test_the_job_is_bash() -> None:
    run(tool("bash"), "-n", str(JOB))


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    for program in ("munged", "slurmctld", "slurmd", "sbatch"):
        if shutil.which(program) is None and not Path("/usr/sbin", program).exists():
            pytest.skip(f"no {program}; apt-get install munge slurmctld slurmd slurm-client")
    missing = rights.missing()
    if missing is not None:
        pytest.skip(missing)
    made = Hosts.make(tmp_path, NUM_HOSTS)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.deploy
@pytest.mark.ray
@pytest.mark.slow
def test_a_job_serves_a_model_on_all_its_nodes_and_leaves_nothing(hosts: Hosts) -> None:
    slurm = Slurm.start(hosts)
    daemons = {host.name: set(host.pids()) for host in hosts}
    shutil.copy(JOB, hosts[1].disk / "job.sbatch")
    slurm.run("sbatch", f"--nodes={NUM_HOSTS}", "--output=/tmp/job.log", "/tmp/job.sbatch", MODEL=str(model_path()))
    log = hosts[1].disk / "job.log"
    try:
        wait_until(lambda: "cluster run" in text(log), UP_TIMEOUT_S, log)
        head = {"XDG_STATE_HOME": "/tmp/ggml-cluster-1-0"}
        status = json.loads(hosts[1].run("cluster", "status", "-o", "json", **head).stdout)
        assert {stage["node"] for stage in status["stages"]} == {host.name for host in hosts}
        told = hosts[1].run("cluster", "run", "Once upon a time", "-n", "16", "--temp", "0", **head)
        assert told.returncode == 0, told.stderr
        assert len(told.stdout.split()) > 5
    finally:
        slurm.run("scancel", "1")
    wait_until(lambda: all(is_clean(host, daemons[host.name]) for host in hosts), END_TIMEOUT_S, log)
    assert slurm.state("1") in ("CANCELLED", "")


def is_clean(host: Host, daemons: set[int]) -> bool:
    """Whether only Slurm's own processes are left, and no folder of ours."""
    return set(host.pids()) <= daemons and not list(host.disk.glob("ggml-cluster-*"))


def wait_until(is_so: object, timeout_s: float, log: Path) -> None:
    assert callable(is_so)
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s; the job wrote:\n{text(log)}"
        time.sleep(0.5)


def text(log: Path) -> str:
    return log.read_text(errors="replace") if log.exists() else ""
