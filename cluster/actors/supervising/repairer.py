"""Brings up what a cluster has lost, from within the Ray that it lives in: what lives keeps its weights."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from cluster.actors.driver.driving import guest
from cluster.actors.driver.launch import COORDINATOR, Launch
from cluster.actors.ground.chosen import present_ground
from cluster.actors.ground.ground import Progress
from cluster.actors.placing import Placing, node_of
from cluster.config import config_of
from cluster.node.home import read_home
from cluster.node.run_folder import check_run_folder
from cluster.node.state import ClusterState, state_path
from cluster.planning.model_plan import ModelPlan
from cluster.sources.freshness import changed_file


class Repairer:
    """Does what `up` does where a cluster is to be repaired, never more: it lives in that Ray itself. For one thread.

    It remembers the plan, so that nothing needs to be measured again where all places are there still.
    """

    def __init__(self, progress: Progress) -> None:
        self._placing = Placing(progress)
        self._progress = progress
        self.plan: ModelPlan | None = None  # by which the cluster came up, as far as it is known

    def prepare(self, state: ClusterState) -> None:
        """Make the plan now, where it is not known, instead of while requests wait. ClusterError."""
        if not self._is_known(state):
            with _guest(state) as launch:
                self.plan = self._planned(launch, state)

    def repair(self, state: ClusterState, *, ends_coordinator: bool = False) -> None:
        """Replace what is dead and begin a new epoch. `ends_coordinator`: it lives, but is of no use. ClusterError."""
        check_run_folder(Path(state.run_folder))
        with _guest(state) as launch:
            if ends_coordinator:
                launch.actors.kill(COORDINATOR)
            self.plan = self._planned(launch, state)
            self._placing.bring_up(launch, state, self.plan)

    def _planned(self, launch: Launch, state: ClusterState) -> ModelPlan:
        config = config_of(state.config)
        ground = present_ground(state, config, self._progress)
        nodes = None if ground.is_alone else ground.nodes(launch, waits=False)
        is_there = nodes is None or {node_of(device) for device in state.devices} <= {
            node.name for node in launch.agents.nodes
        }
        # Files of adapters may have been written to: then all stages take the new ones.
        if self.plan is not None and is_there and not config.lora and self._is_known(state):
            return self.plan
        return self._placing.plan_over(state, config, nodes)

    def _is_known(self, state: ClusterState) -> bool:
        """Whether the plan is that of the cluster, and its model still the one on the disk."""
        plan = self.plan
        if plan is None or (plan.bounds, plan.devices) != (state.bounds, state.devices):
            return False
        is_same = plan.coordinator.model_hash == state.model_hash
        return is_same and not changed_file(config_of(state.config).model, state.model_version)


def _guest(state: ClusterState) -> AbstractContextManager[Launch]:
    return guest(state.ray_address, state.ray_namespace, read_home(state_path().parent))
