"""The door actor, on the head: a thin shell around `Doors`, and the cluster behind them as Ray knows it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path

import ray

from cluster.actors.nodes.agents import Agents
from cluster.actors.ray_side.calls import forget_node
from cluster.actors.ray_side.nodes import RayNode, living_nodes
from cluster.actors.ray_side.start.environment import kept_token
from cluster.actors.ray_side.start.gcs import restart_gcs
from cluster.api.errors import ClusterError, UnreachableError, error_of_exit_code
from cluster.membership.serving import Doors
from cluster.membership.versions import this_version
from cluster.messages.membership import Grant
from cluster.node.dated_log import date_log
from cluster.node.home import Home, read_home
from cluster.node.secret import read_secret
from cluster.planning.nodes import NodeFacts
from cluster.terminal.printable import printable

POLL_S = 0.25
LOOK_S = 3.0  # at a node that has come back, also for what it was before
RELEASE_S = 800.0
GCS_POLL_S = 0.5
GCS_PAUSE_S = 5.0  # after a GCS that could not be started again
_log = logging.getLogger(__name__)


class Door:
    """Admits nodes and serves those there are, and keeps the GCS of the head alive. Left undecorated."""

    def __init__(self, home: str, run_folder: str, instance: str, namespace: str, gcs_address: str) -> None:
        """`home` and `run_folder`: those of the head, where the door runs."""
        date_log()
        self._home = Path(home)
        self._run_folder = Path(run_folder)
        self._cluster = _RayCluster(self._home, self._run_folder, instance, namespace, gcs_address)
        self._doors: Doors | None = None
        self._address = ""
        if ray.get_runtime_context().was_current_actor_reconstructed:
            self.start()  # nobody is there to ask for it: Ray has started it again

    def pid(self) -> int:
        return os.getpid()

    def start(self) -> str:
        """Listen. Returns the address at which machines join; again, if it listens already."""
        if self._doors is None:
            doors = Doors(read_home(self._home), self._cluster)
            self._address = doors.start()
            self._doors = doors
            threading.Thread(target=self._keep_gcs, name="gcs", daemon=True).start()
        return self._address

    def stop(self) -> None:
        if self._doors is not None:
            self._doors.stop()

    def _keep_gcs(self) -> None:
        """While the door is there, the GCS is: without it, no node could come or go, and nothing be repaired."""
        while True:
            try:
                if restart_gcs(self._run_folder):
                    _log.warning("Ray's GCS had died and was started again")
                time.sleep(GCS_POLL_S)
            except ClusterError as error:
                _log.warning("%s", error)
                time.sleep(GCS_PAUSE_S)


class _RayCluster:
    """Implements `membership.door.Cluster`."""

    def __init__(self, home: Path, run_folder: Path, instance: str, namespace: str, gcs_address: str) -> None:
        self._home = home
        self._run_folder = run_folder
        self._instance = instance
        self._namespace = namespace
        self._gcs_address = gcs_address

    def living_nodes(self) -> Collection[str]:
        return {node.name for node in living_nodes(ray.nodes())}

    def grant(self, name: str) -> Grant:
        home = self._record_home
        assert home.record is not None
        return Grant(
            gcs_address=self._gcs_address,
            ray_token=kept_token(self._run_folder),
            secret=read_secret(home.secret_file).text,
            client_secret=read_secret(home.client_secret_file).text,
            instance=self._instance,
            namespace=self._namespace,
            first_port=home.record.first_port,
            is_secure=home.record.is_secure,
            versions=this_version(),
        )

    def confirm(self, name: str, deadline_s: float) -> str:
        """Wait for the node in Ray, then for its agent; a former node of that name is forgotten then."""
        self._wait_listed(name, deadline_s)
        agents = Agents(self._namespace)
        while True:
            agents.look(name, LOOK_S)
            found = [node for node in agents.nodes if node.name == name]
            if found:
                self._forget_others(name, found[-1])
                facts = next(iter(agents.facts), None)
                if facts is None:
                    raise UnreachableError(f"{name}: {agents.silent.get(name, 'its agent says nothing')}")
                return _summary(facts)
            if time.monotonic() > deadline_s:
                why = agents.silent.get(name, "Ray does not know it any more")
                raise UnreachableError(
                    f"{name}: Ray lists it, but no process that the head starts there answers: {why}; see that the "
                    "cluster's ports are open in both directions"
                )
            time.sleep(POLL_S)

    def release(self, name: str) -> None:
        """By a command of its own, which holds the head's lock as those of people do."""
        command = [sys.executable, "-P", "-m", "cluster", "drain", name]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RELEASE_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise UnreachableError(
                f"drain: not done within {RELEASE_S:.0f} s; see cluster status, on the head"
            ) from error
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["it does not say why"])[-1]
            raise error_of_exit_code(done.returncode, printable(said.removeprefix("cluster: ")))

    def _wait_listed(self, name: str, deadline_s: float) -> None:
        while not any(node.name == name for node in living_nodes(ray.nodes())):
            if time.monotonic() > deadline_s:
                raise UnreachableError(
                    f"{name}: Ray on the head has not heard of it in time; see Ray's logs on {name}, and that the "
                    "cluster's ports are open in both directions"
                )
            time.sleep(POLL_S)

    def _forget_others(self, name: str, node: RayNode) -> None:
        """The same machine as it was before it came back: Ray would hold its actors' places for minutes."""
        for other in living_nodes(ray.nodes()):
            if other.name == name and other.id != node.id:
                forget_node(self._gcs_address, other.id)

    @property
    def _record_home(self) -> Home:
        return read_home(self._home)


def _summary(facts: NodeFacts) -> str:
    """What a node has, for people."""
    devices = ", ".join(f"{device.name} ({device.description})" for device in facts.probe.devices)
    return f"{facts.name} at {facts.host}: {facts.num_cores} cores, {devices}"
