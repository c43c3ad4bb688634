"""A Ray of our own that other machines join: this one is its head."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.actors.ground.gathering import Gathering
from cluster.actors.ground.ground import Progress
from cluster.actors.ray_side.start.head import start_shared_head
from cluster.api.errors import ClusterError
from cluster.config import ClusterConfig
from cluster.membership.inviting import invite, join_line
from cluster.membership.registry_file import read_registry
from cluster.messages.membership import NodeState
from cluster.node.advertised import advertised_host
from cluster.node.home import IDENTITY, NodeRecord, read_home, write_home
from cluster.node.port_plan import PortPlan
from cluster.node.ray_health import find_ray_processes
from cluster.node.state import ClusterState, read_state, state_folder
from cluster.trust.identity import write_identity
from cluster.trust.kept_authority import open_authority
from cluster.trust.names import check_node_name, node_name_of
from cluster.wire.transport.channel import check_port_free

if TYPE_CHECKING:
    from cluster.actors.driver.launch import Launch
    from cluster.actors.nodes.agents import Agents
    from cluster.planning.nodes import Nodes

INVITATION_S = 3600
POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class SharedRay:
    """Implements `Ground`."""

    progress: Progress
    config: ClusterConfig
    name: str
    host: str
    owns_ray: bool = True
    is_alone: bool = False

    @classmethod
    def of(cls, config: ClusterConfig, progress: Progress) -> SharedRay:
        """What the settings ask for. UsageError for an address that is not clear, or a name that none can have."""
        name = check_node_name(config.node_name) if config.node_name else node_name_of(platform.node())
        return cls(progress, config, name, advertised_host(config.advertise_address))

    def begin(self, state: ClusterState, num_stages: int) -> ClusterState:
        folder, ports = state_folder(), PortPlan(self.config.first_port)
        for port in (ports.join, ports.members, self.config.port or ports.api):
            check_port_free(self.host, port)
        authority = open_authority(folder, time.time())
        write_identity(folder / IDENTITY, authority.head_identity(self.name, [self.host], time.time()))
        record = NodeRecord(
            name=self.name,
            cluster_id=authority.cluster_id,
            host=self.host,
            first_port=ports.first,
            is_secure=not self.config.insecure,
            head_host=self.host,
        )
        home = write_home(folder, record)
        self.progress.note(f"starting Ray on {self.name} ({self.host})")
        num_cpus = len(os.sched_getaffinity(0))
        address = start_shared_head(state.instance, Path(state.run_folder), home, num_cpus)
        # Its GCS is not among them: the door starts it again where it dies.
        raylet = tuple(process for process in find_ray_processes(state.instance) if process.kind == "raylet")
        return replace(state, ray_address=address, ray_processes=raylet)

    def nodes(self, launch: Launch, *, waits: bool) -> Nodes:
        state = read_state()
        assert state is not None, "it was written before anything was started"
        launch.open_door(Path(state.run_folder), state.instance)
        if waits:
            self._gather(launch.agents)
        else:
            launch.agents.look()
        for name, why in launch.agents.silent.items():
            self.progress.note(f"warning: {name} does not answer: {why}")
        return launch.agents

    def _gather(self, agents: Agents) -> None:
        known = [one for one in read_registry(state_folder()).all if one.state is NodeState.MEMBER]
        waits = Gathering(self.config.nodes, self.config.wait_s, time.monotonic(), len(known))
        while not waits.is_complete:
            living = [node.name for node in agents.look()]
            now_s = time.monotonic()
            for note in waits.look(living, now_s):
                self.progress.note(note)
            if waits.must_tell(now_s):
                self._tell(waits.num_missing)
            if waits.must_remind(now_s):
                self.progress.note(f"still waiting for {_machines(waits.num_missing)}")
            time.sleep(POLL_S)

    def explained(self, error: ClusterError) -> ClusterError:
        return error

    def _tell(self, num_missing: int) -> None:
        folder = state_folder()
        made = invite(folder, INVITATION_S, num_missing, time.time())
        each = "it" if num_missing == 1 else "each"
        self.progress.note(f"waiting for {_machines(num_missing)}; run this on {each}, within 1 h:")
        self.progress.note(f"  {join_line(read_home(folder), made)}")


def _machines(number: int) -> str:
    return "1 more machine" if number == 1 else f"{number} more machines"
