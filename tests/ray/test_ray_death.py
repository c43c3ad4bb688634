"""Ray may die: serving goes on without it, whoever asks is told, and `up` starts it anew without waiting for it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

import cluster
from cluster.node.processes import marked_pids, start_ticks
from cluster.node.ray_health import RayProcess
from tests.conftest import CliHome
from tests.fakes.wire_backends import wait_until
from tests.fault.streams import health
from tests.proc import marked, shown

NUM_STREAMS = 8
TOKENS_BEFORE, TOKENS_AFTER = 4, 900
GCS_PATIENCE = "RAY_gcs_rpc_server_reconnect_timeout_s"  # a minute, where nobody sets it; then Ray ends all actors
A_DAY_S = 24 * 3600


def ray_processes(home: CliHome) -> list[RayProcess]:
    found = home.state()["ray_processes"]
    assert isinstance(found, list)
    return [RayProcess(*process) for process in found]


def kill(processes: Sequence[RayProcess]) -> None:
    for process in processes:
        assert start_ticks(process.pid) == process.start_ticks
        os.kill(process.pid, signal.SIGKILL)


def stream(home: CliHome, seed: int, begun: threading.Barrier) -> list[int]:
    """Token ids of a stream, which meets the others at `begun` after its first tokens."""
    params = cluster.SamplingParams(max_tokens=TOKENS_BEFORE + TOKENS_AFTER, ignore_eos=True, seed=seed)
    ids: list[int] = []
    with cluster.connect(home.address, home.client_secret) as client:
        for event in client.stream("Once", params):
            if event.token is not None:
                ids.append(event.token)
                if len(ids) == TOKENS_BEFORE:
                    begun.wait(60)
    return ids


@pytest.mark.slow
def test_streams_finish_without_ray_and_up_replaces_it(cli_home: CliHome) -> None:
    assert cli_home.run("up", "--demo", "--stages", "2").returncode == 0
    gcs, raylet = (next(found for found in ray_processes(cli_home) if found.kind == kind) for kind in ("GCS", "raylet"))
    told = dict(entry.split("=", 1) for entry in shown(raylet.pid, "environ").decode().split("\0") if entry)
    assert A_DAY_S < int(told[GCS_PATIENCE]) < 2**31 / 1000  # shown so, for the sake of the minute
    begun = threading.Barrier(NUM_STREAMS + 1)
    with ThreadPoolExecutor(NUM_STREAMS) as pool:
        streams = [pool.submit(stream, cli_home, seed, begun) for seed in range(NUM_STREAMS)]
        begun.wait(60)
        kill([raylet])
        said = cli_home.run("status").stdout
        assert f"degraded: Ray's raylet (process {raylet.pid}) is dead" in said
        assert [len(future.result(60)) for future in streams] == [TOKENS_BEFORE + TOKENS_AFTER] * NUM_STREAMS
    base = str(cli_home.state()["http"])
    wait_until(lambda: health(base) == 503)  # it serves on, but nobody should be sent to what cannot be repaired
    kill([gcs])  # both of those that surely bear the mark of this cluster are dead now
    assert f"Ray's GCS (process {gcs.pid}) is dead" in cli_home.run("status").stdout
    assert cli_home.run("run", "Once", "-n", "3").returncode == 0
    instance = str(cli_home.state()["instance"])
    refused = cli_home.run("up", "--demo", "--stages", "3")  # it serves still
    assert refused.returncode == 2, refused.stderr
    coordinator = marked(instance, b"Coordinator")
    os.kill(coordinator[0], signal.SIGKILL)
    said = cli_home.run("status").stderr
    assert said.startswith("cluster: cannot reach a cluster")
    assert "is dead" in said  # and which of the two
    done = cli_home.run("up")
    assert done.returncode == 0, done.stderr
    assert "starting Ray" in done.stderr
    assert marked_pids(instance) == []
    assert cli_home.run("status").stdout.count("degraded") == 0
