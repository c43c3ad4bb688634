"""Whether a cluster that is up is watched, and that it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cluster.config import ClusterConfig
from cluster.node.home import read_home
from cluster.node.state import ClusterState, state_path
from cluster.node.supervision import SUPERVISOR, read_supervision

if TYPE_CHECKING:
    from cluster.actors.driver.launch import Launch
    from cluster.planning.model_plan import ModelPlan


def prepare_supervisor(launch: Launch, config: ClusterConfig, state: ClusterState, plan: ModelPlan | None) -> None:
    """Have its process start, while the stages load, if one is wanted. `plan`: None where it is not known."""
    if config.repair:
        from cluster.actors.supervising.supervisor import Supervisor

        home = read_home(state_path().parent)
        launch.keep_here(Supervisor, SUPERVISOR, state.instance, state.ray_namespace, str(home.folder), plan)


def open_supervisor(launch: Launch, config: ClusterConfig, plan: ModelPlan | None) -> None:
    """Let the prepared one watch a cluster that has come up by `plan`; None where that is not known."""
    if config.repair:
        launch.ask(SUPERVISOR, "begin", plan)


def is_supervised(state: ClusterState) -> bool:
    """Whether a process lives that repairs the cluster, or that has given up."""
    found = read_supervision(Path(state.run_folder))
    return found is not None and found.lives


def is_supervisor_lost(config: ClusterConfig, state: ClusterState) -> bool:
    """Whether there should be one that repairs, and is none."""
    found = read_supervision(Path(state.run_folder)) if config.repair else None
    return config.repair and not (found is not None and found.is_at_work)
