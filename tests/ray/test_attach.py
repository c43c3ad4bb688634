"""A cluster inside of a Ray that somebody else started: `down` takes what is ours and leaves the rest."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

import cluster
from cluster.node.processes import MARK, end_marked, marked_pids
from tests.conftest import CliHome
from tests.proc import marked

INSTANCE = f"foreign-ray-{os.getpid()}"


@pytest.fixture
def foreign_ray(cli_home: CliHome) -> Iterator[str]:
    """Address of a Ray head with two CPUs, in a folder of its own (Ray's sockets need a short path)."""
    folder = tempfile.mkdtemp(prefix="foreign-ray-", dir="/tmp")
    command = [str(Path(sys.executable).parent / "ray"), "start", "--head", "--port=0", "--node-ip-address=127.0.0.1"]
    command += [f"--temp-dir={folder}", "--include-dashboard=false", "--num-cpus=2", "--disable-usage-stats"]
    environment = {**cli_home.environment, MARK: INSTANCE}
    try:
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120, start_new_session=True)
        yield (Path(folder) / "ray_current_cluster").read_text().strip()
    finally:
        end_marked(INSTANCE)
        shutil.rmtree(folder, ignore_errors=True)


def actors() -> list[int]:
    return marked(INSTANCE, b"ray::Coordinator", b"ray::StageWorker")


def test_down_leaves_the_foreign_ray_and_forgets_one_that_is_gone(foreign_ray: str, cli_home: CliHome) -> None:
    arguments = ("up", "--demo", "--stages", "2", "-c", "64", "--address", foreign_ray)
    for _ in range(2):  # the second needs the place that the first gave back
        done = cli_home.run(*arguments)
        assert done.returncode == 0, done.stderr
        assert cli_home.run("run", "Once", "-n", "3").returncode == 0
        assert len(actors()) == 3
        assert len(marked(INSTANCE, b"ray::Supervisor")) == 1
        assert cli_home.run("down").returncode == 0
        assert not cli_home.state_file.exists()
        assert marked(INSTANCE, b"ray::Supervisor") == []
    assert marked_pids(INSTANCE), "the foreign Ray was ended"
    assert cli_home.run(*arguments).returncode == 0
    end_marked(INSTANCE)
    done = cli_home.run("down")
    assert done.returncode == 0, done.stderr
    assert not cli_home.state_file.exists()


def test_what_is_no_ray_is_named_with_the_variable_and_leaves_nothing(cli_home: CliHome) -> None:
    """A left-over RAY_ADDRESS leads to a server that speaks gRPC, but knows nothing of Ray."""
    server = grpc.server(ThreadPoolExecutor(1))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        command = [sys.executable, "-m", "cluster.cli", "up", "--demo", "--stages", "1"]
        environment = {**cli_home.environment, "RAY_ADDRESS": address}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    finally:
        server.stop(None)
    assert done.returncode == 4, done.stderr
    first, last = done.stderr.splitlines()
    assert first == f"attaching to Ray at {address}"
    assert last.startswith(f"cluster: RAY_ADDRESS: Ray at {address}: ")
    assert last.endswith("; or unset RAY_ADDRESS to use one of our own")
    assert not cli_home.state_file.exists()


def test_what_dies_in_a_foreign_ray_is_replaced_and_who_repairs_goes_first(foreign_ray: str, cli_home: CliHome) -> None:
    done = cli_home.run("up", "--demo", "--stages", "2", "-c", "64", "--no-http", "--address", foreign_ray)
    assert done.returncode == 0, done.stderr
    before = set(actors())
    with cluster.connect(cli_home.address, cli_home.client_secret) as client:
        killed = client.status().stages[1].pid
        os.kill(killed, signal.SIGKILL)
        assert client.generate("Once", max_tokens=3).token_ids, "it waits"
        assert client.status().stages[1].pid not in before
        os.kill(client.status().stages[0].pid, signal.SIGKILL)  # which it has not replaced yet when it is ended
    assert cli_home.run("down").returncode == 0
    assert marked(INSTANCE, b"ray::Coordinator", b"ray::StageWorker", b"ray::Supervisor") == []
    assert marked_pids(INSTANCE), "the foreign Ray was ended"
