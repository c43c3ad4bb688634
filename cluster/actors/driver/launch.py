"""Places the actors through Ray, wires them, and replaces those that died. The only place that decorates them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from cluster.actors.driver.crew import Crew
from cluster.actors.driver.http import HTTP, HttpLaunch
from cluster.actors.driver.last_words import LastWords
from cluster.actors.driver.wiring import wire_all
from cluster.actors.nodes.agents import PREFIX as AGENT
from cluster.actors.nodes.agents import Agents
from cluster.actors.ray_side.calls import CALL_TIMEOUT_S, connect, errors_of_ray, get
from cluster.actors.ray_side.named_actors import NamedActors
from cluster.actors.ray_side.nodes import RayNode, living_nodes
from cluster.actors.ray_side.places import Places
from cluster.actors.shells.coordinator import Coordinator
from cluster.actors.shells.door import Door
from cluster.actors.shells.stage_worker import StageWorker
from cluster.api.errors import HandshakeError
from cluster.coordinator.spec import AnySpec
from cluster.messages.stage import Wiring
from cluster.node.home import read_home
from cluster.node.supervision import SUPERVISOR
from cluster.planning.nodes import THIS_NODE
from cluster.stage.spec import LoadedStage, LoadProgress, StageSpec
from cluster.terminal.progress import Bar
from cluster.wire.limits import MAX_COUNT

POLL_S = 0.05
MAX_REFUSALS = (
    2  # that one stage may give in one `up`: the first is answered with a newer epoch, the second with new stages
)
FIRST_TOKEN_TIMEOUT_S = 120.0
COORDINATOR = "coordinator"
DOOR = "door"
STAGE = "stage-"
EXPECT_S = 1.0  # between two words to the coordinator that the stages come along
LEAVE_S = 5.0  # for agents to remove what they wrote
# A stage loads and computes in threads of its own, and answers at once. By reasoning: a machine may be busy.
STAGE_ANSWER_S = 5.0

Report = Callable[[Sequence[Bar]], None]


class Launch:
    """The actors of one cluster, seen from a Ray driver. Close it; the actors live on."""

    def __init__(self, ray_address: str, namespace: str, home: Path, *, is_connected: bool = False) -> None:
        """Connect to Ray, unless this process is in it and stays so. UnreachableError if it does not answer or refuses
        this version.

        `home`: where a node keeps who it is and the cluster's secrets; the actors read it themselves.
        """
        self._is_guest = is_connected
        self._ray_address = ray_address
        self._namespace = namespace
        self._home = read_home(home)
        self._actors = NamedActors(namespace)
        self._places = Places(namespace)
        if not is_connected:
            connect(ray_address, namespace, self._home)

    def close(self) -> None:
        """Disconnect from Ray, if this connected."""
        if not self._is_guest:
            ray.shutdown()

    @property
    def actors(self) -> NamedActors:
        """Those of the cluster."""
        return self._actors

    @cached_property
    def http(self) -> HttpLaunch:
        """The server that speaks HTTP."""
        return HttpLaunch(self._actors, self._home.folder)

    @cached_property
    def agents(self) -> Agents:
        """The machines of the cluster, to plan over and to ask."""
        return Agents(self._namespace)

    def living_nodes(self) -> tuple[RayNode, ...]:
        """Those that Ray believes to live, the head first."""
        with errors_of_ray():
            return living_nodes(ray.nodes())

    def keep_here(self, actor: type, name: str, *told: Any) -> None:
        """Have one of that name on this node, which Ray starts again whenever it dies; one that lives stays."""
        with errors_of_ray():
            if name not in self._actors.living([name]):
                here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
                self._actors.start(actor, name, 0, here, *told, restarts=True)

    def ask(self, name: str, method: str, *told: Any) -> Any:
        """What that method of the actor `name` answers. UnreachableError, or what it raised there."""
        with errors_of_ray():
            return get(getattr(ray.get_actor(name, namespace=self._namespace), method).remote(*told))

    def open_door(self, run_folder: Path, instance: str) -> str:
        """Let machines join, and see to it that the GCS lives. Returns the address at which they join.

        `run_folder` and `instance`: those of the head, which is this machine. UsageError for a port that is in use.
        """
        with errors_of_ray():
            door = self._actors.living([DOOR]).get(DOOR)
            if door is None:
                told = (str(self._home.folder), str(run_folder), instance, self._namespace, self._ray_address)
                door = self._actors.start(
                    Door, DOOR, 0, NodeAffinitySchedulingStrategy(_head().id, soft=False), *told, restarts=True
                )
            address: str = get(door.start.remote())
        return address

    def bring_up(self, specs: Sequence[StageSpec], coordinator: AnySpec, report: Report, former: str = "") -> str:
        """Place what does not live yet, load it, wire a new epoch. Returns the address clients use.

        Works from nothing, and from a cluster that lost actors or nodes: the living ones keep their weights.

        `former`: that address as clients know it, which is kept where it can be.
        """
        with errors_of_ray():
            return self._bring_up(specs, coordinator, report, former)

    def _bring_up(self, specs: Sequence[StageSpec], coordinator: AnySpec, report: Report, former: str) -> str:
        crew = self._crew(specs)
        self.pause("its stages are being placed anew")
        stage_names = [stage_name(spec.stage) for spec in specs]
        self._end_surplus(stage_names)
        num_refusals = 0
        while True:
            living, epoch = self._overtaken(self._fitting(specs, coordinator, crew.lost))
            groups = self._places.keep(
                {spec.stage: crew.nodes[spec.node] for spec in specs if stage_name(spec.stage) not in living}
                | ({} if crew.head else {0: None})
            )
            actor = living.get(COORDINATOR) or self._start_coordinator(coordinator, crew, groups)
            stages = [living.get(stage_name(spec.stage)) or self._start_stage(spec, crew, groups) for spec in specs]
            listening = actor.start.remote(former)  # while the stages load
            loaded = self._load(specs, stages, actor, report)
            address: str = get(listening)
            # The coordinator may have begun newer ones by itself meanwhile; from now on it leaves the stages to us.
            epoch = max(epoch, 1 + get(actor.hold_recovery.remote()))
            try:
                ends = wire_all(specs, loaded, epoch, partial(_wire, stages), crew.coordinator)
                get(actor.wire.remote(epoch, ends))
            except HandshakeError:
                num_refusals += 1
                if num_refusals > MAX_REFUSALS:
                    raise
                if num_refusals == MAX_REFUSALS:  # a newer epoch did not help: they are not what they should be
                    for name in stage_names:
                        self._actors.kill(name)
                continue
            get(actor.first_token.remote(FIRST_TOKEN_TIMEOUT_S), FIRST_TOKEN_TIMEOUT_S + CALL_TIMEOUT_S)
            return address

    def pause(self, why: str) -> None:
        """Have the steps under way end, where the coordinator serves; its requests are held until the next epoch."""
        with errors_of_ray():
            coordinator = self._actors.living([COORDINATOR]).get(COORDINATOR)
            if coordinator is not None:
                get(coordinator.pause.remote(why))

    def end_stage(self, stage: int) -> None:
        """On purpose: requests are held before."""
        self.pause(f"stage {stage} is being started anew")
        with errors_of_ray():
            self._actors.kill(stage_name(stage))

    def drain(self, drain_s: float) -> None:
        """Refuse new requests, and wait until those that are open have ended, for so long."""
        deadline_s = time.monotonic() + drain_s
        with errors_of_ray():
            living = self._actors.living([COORDINATOR, HTTP])
            coordinator = living.get(COORDINATOR)
            front = [living[HTTP].stop.remote(drain_s)] if HTTP in living else []
            if coordinator is not None:
                get(coordinator.refuse.remote())
            ray.wait(front, timeout=drain_s) if front else None  # what it has open is open at the coordinator, too
            while coordinator is not None and get(coordinator.refuse.remote()) and time.monotonic() < deadline_s:
                time.sleep(POLL_S)

    def take_down(self) -> int:
        """End the actors and give their place back. Returns how many there were."""
        with errors_of_ray():
            num_ended = int(self._actors.kill(SUPERVISOR))  # first, since it is there to start anew what is ended
            names = self._actors.names()
            agents = [name for name in names if name.startswith(AGENT)]
            asked = [actor.leave.remote() for actor in self._actors.living(agents).values()]
            ray.wait(asked, num_returns=len(asked), timeout=LEAVE_S) if asked else None
            num_ended += sum(map(self._actors.kill, names))
            self._places.give_back()
        return num_ended

    def _crew(self, specs: Sequence[StageSpec]) -> Crew:
        """The nodes of a plan. UnreachableError for one that does not answer."""
        if all(spec.node == THIS_NODE for spec in specs):
            return Crew({THIS_NODE: None}, {THIS_NODE: str(self._home.folder)}, self._home.node)
        homes = dict(self.agents.homes())
        nodes: dict[str, RayNode | None] = {spec.node: self.agents.node(spec.node) for spec in specs}
        answering = {node.id for node in self.agents.nodes}
        lost = frozenset(node.id for node in living_nodes(ray.nodes()) if node.id not in answering)
        self.agents.end_orphans(self._actors.pids())
        head = self.agents.nodes[0]
        return Crew(nodes, homes, head.name, head, lost)

    def _end_surplus(self, stage_names: Sequence[str]) -> None:
        """A plan that was made anew may have fewer stages."""
        for name in self._actors.names():
            if name.startswith(STAGE) and name not in stage_names:
                self._actors.kill(name)
        self._places.drop_from(len(stage_names))

    def _fitting(self, specs: Sequence[StageSpec], coordinator: AnySpec, lost: Collection[str]) -> dict[str, Any]:
        """The living actors that are what the plan says. Others are ended, as are those on nodes that are `lost`."""
        wanted: dict[str, StageSpec | AnySpec] = {stage_name(spec.stage): spec for spec in specs}
        wanted[COORDINATOR] = coordinator
        stages = [name for name in wanted if name != COORDINATOR]
        living = self._actors.living(stages, lost, STAGE_ANSWER_S) | self._actors.living([COORDINATOR], lost)
        fits = dict(zip(living, get([actor.fits.remote(wanted[name]) for name, actor in living.items()]), strict=True))
        for name in living:
            if not fits[name]:
                # Told to stop it would end its requests. Killed it leaves them to the next one, and its port, too.
                self._actors.kill(name)
        return {name: actor for name, actor in living.items() if fits[name]}

    def _overtaken(self, living: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """The living stages whose epoch can be overtaken, and the epoch that does; the others are ended.

        Whoever was replaced knows no epoch any more, so the newest of all counts.
        """
        epochs: dict[str, int] = dict(
            zip(living, get([actor.epoch.remote() for actor in living.values()]), strict=True)
        )
        for name, epoch in epochs.items():
            if epoch >= MAX_COUNT:
                self._actors.kill(name)
        kept = {name: actor for name, actor in living.items() if epochs[name] < MAX_COUNT}
        return kept, 1 + max((epochs[name] for name in kept), default=0)

    def _start_stage(self, spec: StageSpec, crew: Crew, groups: Mapping[int, PlacementGroup]) -> Any:
        strategy = PlacementGroupSchedulingStrategy(groups[spec.stage], placement_group_bundle_index=0)
        return self._actors.start(StageWorker, stage_name(spec.stage), 1, strategy, spec, crew.homes[spec.node])

    def _start_coordinator(self, spec: AnySpec, crew: Crew, groups: Mapping[int, PlacementGroup]) -> Any:
        """On the head, where clients look for it; on a machine alone in the place of stage 0."""
        strategy: Any
        if crew.head is None:
            strategy = PlacementGroupSchedulingStrategy(groups[0], placement_group_bundle_index=0)
        else:
            strategy = NodeAffinitySchedulingStrategy(crew.head.id, soft=False)
        return self._actors.start(Coordinator, COORDINATOR, 0, strategy, spec, crew.homes[crew.coordinator_home])

    def _load(
        self, specs: Sequence[StageSpec], stages: Sequence[Any], coordinator: Any, report: Report
    ) -> list[LoadedStage]:
        """Let all stages load side by side, and report until each is ready. Raises the first failure."""
        with LastWords() as words:
            for number, stage in enumerate(stages):
                stage.load.remote(words.path(number))
            return self._wait_loaded([_label(spec) for spec in specs], stages, words, coordinator, report)

    def _wait_loaded(
        self, labels: Sequence[str], stages: Sequence[Any], words: LastWords, coordinator: Any, report: Report
    ) -> list[LoadedStage]:
        shown: list[Bar] = []
        told_s = time.monotonic()
        while True:
            references = [stage.progress.remote() for stage in stages]
            states: list[LoadProgress] = [
                get(reference, why=partial(_death, number, words)) for number, reference in enumerate(references)
            ]
            bars = [Bar(label, state.phase, state.fraction) for label, state in zip(labels, states, strict=True)]
            report(bars)
            if bars != shown and time.monotonic() >= told_s + EXPECT_S:
                shown, told_s = bars, time.monotonic()
                coordinator.expect.remote()  # requests that are held are patient while something comes along
            for state in states:
                if state.error is not None:
                    raise state.error
            loaded = [state.loaded for state in states if state.loaded is not None]
            if len(loaded) == len(stages):
                return loaded
            time.sleep(POLL_S)


def stage_name(stage: int) -> str:
    """What Ray knows the actor of a stage by."""
    return f"{STAGE}{stage}"


def _label(spec: StageSpec) -> str:
    """What people are told of it."""
    return f"stage {spec.stage}" if spec.node == THIS_NODE else f"stage {spec.stage} on {spec.node}"


def _head() -> RayNode:
    """The node where Ray's head is, which is the first."""
    return living_nodes(ray.nodes())[0]


def _wire(stages: Sequence[Any], stage: int, wiring: Wiring) -> str:
    address: str = get(stages[stage].wire.remote(wiring))
    return address


def _death(stage: int, words: LastWords) -> str:
    return f"stage {stage}: its process died while loading: {words.why(stage)}"
