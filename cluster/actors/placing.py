"""From the settings of a cluster and its machines to stages that run: plans, and what becomes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cluster.actors.asking.own_status import status_at
from cluster.actors.ground.ground import Progress
from cluster.api.errors import ClusterError, UsageError
from cluster.config import ClusterConfig
from cluster.node.home import read_home
from cluster.node.processes import members
from cluster.node.state import ClusterState, state_path, write_state
from cluster.sources.opening import open_model
from cluster.sources.served import lent
from cluster.stage.spec import GgufOptions
from cluster.terminal.activity import Activity
from cluster.wire.access.keys import keys_of

if TYPE_CHECKING:
    from cluster.actors.driver.launch import Launch
    from cluster.planning.former import Former
    from cluster.planning.model_plan import ModelPlan
    from cluster.planning.nodes import Nodes


@dataclass(frozen=True, slots=True)
class Placing:
    """Makes plans and carries them out."""

    progress: Progress

    def check(self, config: ClusterConfig) -> None:
        """Model and settings, before any machine is looked at. UsageError, ClusterError."""
        from cluster.planning.any_plan import check_any

        with Activity("reading the model"):
            check_any(config)

    def plan(
        self,
        config: ClusterConfig,
        bounds: Sequence[int] = (),
        nodes: Nodes | None = None,
        devices: Sequence[str] = (),
        former: Former | None = None,
    ) -> ModelPlan:
        from cluster.planning.any_plan import plan_model

        with Activity("measuring devices and memory"):
            plan = plan_model(config, bounds, nodes, devices, former)
        for warning in plan.warnings:
            self.progress.note(f"warning: {warning}")
        return plan

    def plan_over(self, state: ClusterState, config: ClusterConfig, nodes: Nodes | None) -> ModelPlan:
        """For the nodes there are: as before, if all of the former places are there, else anew."""
        if nodes is None:
            return same_model(state, self.plan(config, state.bounds))
        if state.bounds:
            names = {facts.name for facts in nodes.facts}
            if {node_of(device) for device in state.devices} <= names:
                kept = replace(config, layers=None, tensor_split=None)
                return same_model(state, self.plan(kept, state.bounds, nodes, state.devices))
            self.progress.note(f"placing the layers anew, on {', '.join(sorted(names))}")
            return self.plan_without(state, config, freed(nodes, state))
        return same_model(state, self.plan(config, nodes=nodes))

    def plan_without(self, state: ClusterState, config: ClusterConfig, nodes: Nodes) -> ModelPlan:
        """For `nodes`, among which not all are that the cluster has layers on: the others keep theirs, if they can."""
        from cluster.planning.former import Former

        former = Former(state.bounds, state.devices)
        plan = same_model(state, self.plan(config, nodes=nodes, former=former))
        self.progress.note(former.told(plan.bounds, plan.devices))
        return plan

    def bring_up(self, launch: Launch, state: ClusterState, plan: ModelPlan) -> str:
        """What lives keeps its weights, as far as the plan has not changed. The address that clients use."""
        state = _planned(state, plan)
        write_state(state)
        coordinator = replace(plan.coordinator, ray_processes=state.ray_processes)
        with _weights_lent(replace(plan, coordinator=coordinator)) as told:
            address = launch.bring_up(told.stages, told.coordinator, self.progress.bars, state.address)
        write_state(replace(state, address=address, ready=True, members=members(state.instance)))
        return address


def same_model(state: ClusterState, plan: ModelPlan) -> ModelPlan:
    """The plan, if it is for the model that the cluster serves. UsageError."""
    if state.model_hash not in ("", plan.coordinator.model_hash):
        raise UsageError(
            f"{plan.coordinator.source.shown_name}: not the model any more that the cluster serves; "
            "put that back, or run cluster down"
        )
    return plan


def node_of(device: str) -> str:
    """The node of a device as plans name it, such as "two:CUDA0"; "" where there is one machine only."""
    return device.rpartition(":")[0]


def freed(nodes: Nodes, state: ClusterState) -> Nodes:
    """The nodes as they will be once the stages that run now are gone, which those of a new plan replace."""
    from cluster.planning.nodes import THIS_NODE, Freed

    held_bytes: Counter[str] = Counter()
    with suppress(ClusterError):  # a coordinator that is gone, too, says nothing of them
        names = {facts.name for facts in nodes.facts}
        for stage in status_at(state.address).stages:
            if stage.facts.health.is_ready:
                node = stage.node if stage.node in names else THIS_NODE
                held_bytes[f"{node}:{stage.device}"] += stage.weight_bytes + stage.kv_bytes + stage.compute_bytes
    return Freed(nodes, held_bytes)


def _planned(state: ClusterState, plan: ModelPlan) -> ClusterState:
    """What a repair needs to know of the plan."""
    coordinator = plan.coordinator
    return replace(
        state,
        model_hash=coordinator.model_hash,
        bounds=plan.bounds,
        devices=plan.devices,
        model_version=coordinator.source.version,
        is_program=plan.is_program,
    )


@contextmanager
def _weights_lent(plan: ModelPlan) -> Iterator[ModelPlan]:
    """The plan as other nodes are told of it: in the block, this one gives them the tensors that they want."""
    home = read_home(state_path().parent)
    if home.record is None:
        yield plan
        return
    source = plan.coordinator.source
    options = plan.stages[0].options  # all stages are told the same
    adapters = options.adapters if isinstance(options, GgufOptions) else ()
    with lent(source, open_model(source, plan.coordinator.model_hash), keys_of(home), adapters) as told:
        stages = tuple(replace(stage, source=told) for stage in plan.stages)
        yield replace(plan, stages=stages, coordinator=replace(plan.coordinator, source=told))
