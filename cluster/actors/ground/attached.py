"""A Ray that somebody else started, and that the user named."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cluster.actors.ground.foreign import Asked, running_ray
from cluster.actors.ground.foreign_nodes import are_here, enrol
from cluster.actors.ground.ground import Progress
from cluster.api.errors import ClusterError, UnreachableError, UsageError
from cluster.config import ClusterConfig
from cluster.node.home import LOOPBACK
from cluster.node.port_plan import DEFAULT_FIRST
from cluster.node.state import ClusterState
from cluster.wire.transport.channel import host_of

if TYPE_CHECKING:
    from cluster.actors.driver.launch import Launch
    from cluster.planning.nodes import Nodes


@dataclass(frozen=True, slots=True)
class AttachedRay:
    """Implements `Ground`."""

    progress: Progress
    asked: Asked
    address: str
    owns_ray: bool = False
    first_port: int = DEFAULT_FIRST
    insecure: bool = False
    is_shared: bool = False  # clients elsewhere are to reach it, whether or not its nodes are several

    @classmethod
    def at(cls, asked: Asked, config: ClusterConfig, progress: Progress) -> AttachedRay:
        """The Ray that `asked` leads to. UsageError, or UnreachableError if it does not answer."""
        address = running_ray(asked)
        if config.is_shared and host_of(address) == LOOPBACK:
            raise UsageError(
                f"advertise-address: {asked} is on loopback, and so is what runs in it; start it with "
                "ray start --node-ip-address, or leave --advertise-address out"
            )
        return cls(
            progress,
            asked,
            address,
            first_port=config.first_port,
            insecure=config.insecure,
            is_shared=config.is_shared,
        )

    @property
    def is_alone(self) -> bool:
        """On loopback, Ray has no other machines."""
        return host_of(self.address) == LOOPBACK

    def begin(self, state: ClusterState, num_stages: int) -> ClusterState:
        self.progress.note(f"attaching to Ray at {self.address}")
        return replace(state, ray_address=self.address)

    def nodes(self, launch: Launch, *, waits: bool) -> Nodes | None:
        if self.is_alone or (are_here(launch.living_nodes()) and not self.is_shared):
            return None  # nothing of ours leaves this machine
        launch.agents.look()
        for name, why in launch.agents.silent.items():
            self.progress.note(f"warning: {name} does not answer: {why}")
        enrol(launch.agents, self.first_port, is_secure=not self.insecure)
        return launch.agents

    def explained(self, error: ClusterError) -> ClusterError:
        return self.asked.unreachable(error) if isinstance(error, UnreachableError) else error
