"""A cluster that other machines may join, on one machine: what dies of its Ray is brought back, and nobody notices."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import cluster
from cluster.actors.ray_side.start.gcs import RECORD, gcs_process
from cluster.node.home import NodeRecord, read_home, write_home
from cluster.node.processes import end_marked, start_ticks
from cluster.node.ray_health import answers
from cluster.node.run_folder import make_run_folder, remove_run_folder, run_folder_path
from cluster.node.secret import Secret, write_secret
from cluster.trust.authority import Authority
from cluster.trust.identity import Identity, write_identity
from cluster.trust.kept_authority import write_authority
from cluster.trust.names import new_cluster_id
from cluster.trust.node_key import new_key, signing_request
from tests.proc import marked

HOST = "127.0.0.1"
NUM_TOKENS = 900

# As `cluster up` does it, in a process of its own: Ray reads its environment once.
DRIVER = """
import sys
from pathlib import Path
from cluster.actors.ray_side.start.environment import use_ray
from cluster.actors.ray_side.start.head import start_shared_head
from cluster.config import ClusterConfig
from cluster.demo import model_path
from cluster.node.home import read_home
from cluster.planning.any_plan import plan_model

home, run_folder, instance, verb = read_home(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
if verb == "start":
    start_shared_head(instance, run_folder, home, 2)
use_ray(run_folder, home)
from cluster.actors.driver.launch import Launch
from tests.proc import marked

launch = Launch(f"{home.host}:{home.record.ports.gcs}", f"shared-{instance}", home.folder)
launch.open_door(run_folder, instance)
plan = plan_model(ClusterConfig(str(model_path()), stages=2, ctx_size=1024, threads=1), nodes=launch.agents)
assert {spec.node for spec in plan.stages} == {"one"}
print(launch.bring_up(plan.stages, plan.coordinator, lambda bars: None))
launch.close()
"""


@dataclass(frozen=True)
class Shared:
    """The head's home, its run folder and the mark of its processes; where clients connect."""

    home: Path
    run_folder: Path
    instance: str
    address: str

    def driver(self, verb: str) -> str:
        command = [sys.executable, "-c", DRIVER, str(self.home), str(self.run_folder), self.instance, verb]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """A head on loopback with two stages. What a test kills of it comes back.

    Ray itself speaks in plaintext: its certificates are for tests of hosts.
    """
    instance = secrets.token_hex(8)
    home, run_folder = tmp_path_factory.mktemp("home"), run_folder_path(instance)
    write_head(home)
    make_run_folder(run_folder)
    try:
        started = Shared(home, run_folder, instance, "")
        yield Shared(home, run_folder, instance, started.driver("start"))
    finally:
        end_marked(instance)
        remove_run_folder(run_folder)


def write_head(folder: Path) -> None:
    authority = Authority.new(new_cluster_id(), time.time())
    write_authority(folder, authority)
    first_port = 20000 + os.getpid() % 200 * 140
    home = write_home(folder, NodeRecord("one", authority.cluster_id, HOST, first_port, False, HOST))
    key = new_key()
    certificate = authority.sign(signing_request(key, "one"), "one", [HOST], time.time(), is_head=True)
    write_identity(
        home.identity_folder, Identity("one", authority.cluster_id, authority.certificate_pem, certificate, key)
    )
    secret = Secret.new()
    write_secret(home.secret_file, secret)
    write_secret(home.client_secret_file, secret.for_clients)


def wait_until(is_so: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def test_a_gcs_that_is_killed_comes_back_knowing_all_and_streams_go_on(shared: Shared) -> None:
    params = cluster.SamplingParams(max_tokens=NUM_TOKENS, ignore_eos=True, temperature=0.0)
    with cluster.connect(shared.address, shared.home / "client-secret") as client:
        undisturbed = [event.token for event in client.stream("Once", params) if event.token is not None]
        ids: list[int] = []
        for event in client.stream("Once", params):
            if event.token is not None:
                ids.append(event.token)
            if len(ids) == 10:
                killed = gcs_process(shared.run_folder)
                assert start_ticks(killed.pid) == killed.start_ticks
                os.kill(killed.pid, signal.SIGKILL)
        assert ids == undisturbed
        stages = client.status().stages
        wait_until(lambda: gcs_process(shared.run_folder).pid != killed.pid)
        # Whoever asks Ray now finds the actors, which have kept their weights.
        assert shared.driver("again") == shared.address
        assert [stage.facts.pid for stage in client.status().stages] == [stage.facts.pid for stage in stages]
    assert (shared.run_folder / RECORD).stat().st_mode & 0o77 == 0  # it has the environment of `cluster up`


def test_a_door_that_is_killed_is_open_again(shared: Shared) -> None:
    record = read_home(shared.home).record
    assert record is not None
    door = f"{HOST}:{record.ports.join}"
    assert answers(door)
    (pid,) = marked(shared.instance, b"ray::Door")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not answers(door))
    wait_until(lambda: answers(door))
