"""A Ray of our own, for this machine alone: it listens on loopback."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.actors.ground.ground import Progress
from cluster.actors.ray_side.start.head import start_head
from cluster.api.errors import ClusterError
from cluster.node.ray_health import find_ray_processes
from cluster.node.state import ClusterState

if TYPE_CHECKING:
    from cluster.actors.driver.launch import Launch
    from cluster.planning.nodes import Nodes


@dataclass(frozen=True, slots=True)
class OwnRay:
    """Implements `Ground`."""

    progress: Progress
    owns_ray: bool = True
    is_alone: bool = True

    def begin(self, state: ClusterState, num_stages: int) -> ClusterState:
        self.progress.note("starting Ray on this machine")
        num_cpus = max(len(os.sched_getaffinity(0)), num_stages)
        address = start_head(state.instance, Path(state.run_folder), num_cpus)
        return replace(state, ray_address=address, ray_processes=find_ray_processes(state.instance))

    def nodes(self, launch: Launch, *, waits: bool) -> Nodes | None:
        return None

    def explained(self, error: ClusterError) -> ClusterError:
        return error
