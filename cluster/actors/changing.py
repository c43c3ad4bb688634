"""Changes of a cluster that serves: a stage started anew, or its layers cut otherwise. Requests wait meanwhile."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cluster.actors.driver.driving import remembered
from cluster.actors.ground.chosen import present_ground
from cluster.actors.ground.ground import Progress
from cluster.actors.placing import Placing, freed, same_model
from cluster.actors.supervising.appointing import open_supervisor
from cluster.api.errors import ClusterError, UsageError
from cluster.config import LAYOUT, ClusterConfig, config_of, record_of
from cluster.node.state import ClusterState, read_state, write_state
from cluster.node.state_lock import state_lock

if TYPE_CHECKING:
    from cluster.actors.driver.launch import Launch
    from cluster.planning.model_plan import ModelPlan
    from cluster.planning.nodes import Nodes


@dataclass(frozen=True, slots=True)
class Changing:
    """Of the one cluster of this user and state directory."""

    progress: Progress

    def restart(self, stages: Sequence[int] | None) -> str:
        """Start these stages anew, one after the other; None: all. Returns a line for the user.

        UsageError for a stage that is not there, UnreachableError where one does not come back.
        """
        with state_lock(waiting=self._say_waiting):
            state = _present("restart")
            wanted = range(len(state.devices)) if stages is None else _checked(stages, len(state.devices))
            with remembered(state) as launch:
                plan = self._former(launch, state)
                for stage in wanted:
                    self.progress.note(f"starting stage {stage} anew")
                    launch.end_stage(stage)
                    self._placing.bring_up(launch, _present("restart"), plan)
                open_supervisor(launch, config_of(state.config), plan)
        return f"started anew: {', '.join(f'stage {stage}' for stage in wanted)}"

    def resplit(self, layout: Mapping[str, Any]) -> str:
        """Cut the layers as `layout` says, settings of `config.LAYOUT`. Returns a line for the user.

        Where that cannot be, nothing has changed: UsageError, CapacityError.
        """
        with state_lock(waiting=self._say_waiting):
            state = _present("resplit")
            config = replace(config_of(state.config), **{**LAYOUT, **layout})
            with remembered(state) as launch:
                plan = self._planned(launch, state, config)
                former = self._former(launch, state)
                self.progress.note(f"placing the layers anew, on {len(plan.stages)} stages")
                changed = replace(state, config=record_of(config))
                write_state(changed)
                try:
                    self._placing.bring_up(launch, changed, plan)
                except ClusterError:
                    self.progress.note("that cannot be; putting the layers back where they were")
                    self._placing.bring_up(launch, state, former)
                    raise
                open_supervisor(launch, config, plan)
        return f"the layers are cut anew: {_shown(plan.bounds)}"

    @property
    def _placing(self) -> Placing:
        return Placing(self.progress)

    def _former(self, launch: Launch, state: ClusterState) -> ModelPlan:
        """The plan by which the cluster came up."""
        config = config_of(state.config)
        return self._placing.plan_over(state, config, self._nodes(launch, state, config))

    def _planned(self, launch: Launch, state: ClusterState, config: ClusterConfig) -> ModelPlan:
        from cluster.planning.nodes import ThisMachine

        nodes = self._nodes(launch, state, config) or ThisMachine()
        return same_model(state, self._placing.plan(config, nodes=freed(nodes, state)))

    def _nodes(self, launch: Launch, state: ClusterState, config: ClusterConfig) -> Nodes | None:
        return present_ground(state, config, self.progress).nodes(launch, waits=False)

    def _say_waiting(self) -> None:
        self.progress.note("waiting for the repair that is under way")


def _present(verb: str) -> ClusterState:
    state = read_state()
    if state is None or not state.ready:
        raise UsageError(f"{verb}: no cluster is up here; start one with cluster up")
    return state


def _checked(stages: Collection[int], num_stages: int) -> list[int]:
    for stage in stages:
        if not 0 <= stage < num_stages:
            raise UsageError(f"restart: there is no stage {stage}; give one from 0 to {num_stages - 1}")
    return sorted(set(stages))


def _shown(bounds: Sequence[int]) -> str:
    """As --layers takes them."""
    return ",".join(f"{first}-{end - 1}" for first, end in itertools.pairwise(bounds))
