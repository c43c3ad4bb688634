"""Places the actors through Ray, wires them, and replaces those that died. The only place that decorates them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]  # compiled, without stubs
from ray.exceptions import RayActorError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from cluster.actors.coordinator_actor import Coordinator
from cluster.actors.last_words import LastWords
from cluster.actors.ray_calls import CALL_TIMEOUT_S, check_gcs, errors_of_ray, get, has_answered, one_line, silence_ray
from cluster.actors.stage_worker import StageWorker
from cluster.actors.wiring import wire_all
from cluster.api.errors import CapacityError, HandshakeError, UnreachableError
from cluster.coordinator.spec import CoordinatorSpec
from cluster.messages.stage import Wiring
from cluster.node.home import read_home
from cluster.stage.spec import LoadedStage, LoadProgress, StageSpec
from cluster.wire.limits import MAX_COUNT

PLACE_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = (
    15.0  # a living actor answers within it; one still busy with an `up` that was interrupted is replaced
)
POLL_S = 0.1
MAX_REFUSALS = (
    2  # that one stage may give in one `up`: the first is answered with a newer epoch, the second with new stages
)
FIRST_TOKEN_TIMEOUT_S = 120.0
COORDINATOR = "coordinator"

Report = Callable[[list[tuple[str, float]]], None]


class Launch:
    """The actors of one cluster, seen from a Ray driver. Close it; the actors live on."""

    def __init__(self, ray_address: str, namespace: str, home: Path) -> None:
        """Connect to Ray. UnreachableError if it does not answer or refuses this version.

        `home`: where a node keeps who it is and the cluster's secrets; the actors read it themselves.
        """
        self._namespace = namespace
        self._home = read_home(home)
        # Ray keeps the first token that it reads: this process may have been connected to a head that is gone.
        AuthenticationTokenLoader.instance().reset_cache()
        silence_ray()
        try:
            check_gcs(ray_address)
            ray.init(ray_address, namespace=namespace, log_to_driver=False, logging_level="ERROR")
        except KeyboardInterrupt:
            ray.shutdown()  # half connected to a Ray that is ended next, its threads would crash the process
            raise
        except Exception as error:  # Ray raises many kinds here: version, token, connection
            raise UnreachableError(
                f"Ray at {ray_address}: {one_line(error)}; start it with the Ray and Python of this environment"
            ) from error

    def close(self) -> None:
        """Disconnect from Ray."""
        ray.shutdown()

    def bring_up(self, specs: Sequence[StageSpec], coordinator: CoordinatorSpec, report: Report) -> str:
        """Place what does not live yet, load it, wire a new epoch. Returns the address clients use.

        Works from nothing, and from a cluster that lost actors: the living ones keep their weights.
        """
        with errors_of_ray():
            return self._bring_up(specs, coordinator, report)

    def _bring_up(self, specs: Sequence[StageSpec], coordinator: CoordinatorSpec, report: Report) -> str:
        group = self._placement_group(len(specs))
        stage_names = [_stage_name(spec.stage) for spec in specs]
        num_refusals = 0
        while True:
            living, epoch = self._overtaken(self._living([COORDINATOR, *stage_names]))
            actor = living.get(COORDINATOR) or self._start_coordinator(coordinator, group)
            stages = [living.get(_stage_name(spec.stage)) or self._start_stage(spec, group) for spec in specs]
            loaded = self._load(stages, report)
            address: str = get(actor.start.remote())
            # The coordinator may have begun newer ones by itself meanwhile; from now on it leaves the stages to us.
            epoch = max(epoch, 1 + get(actor.hold_recovery.remote()))
            try:
                ends = wire_all(specs, loaded, epoch, partial(_wire, stages), self._home.node)
                get(actor.wire.remote(epoch, ends))
            except HandshakeError:
                num_refusals += 1
                if num_refusals > MAX_REFUSALS:
                    raise
                if num_refusals == MAX_REFUSALS:  # a newer epoch did not help: they are not what they should be
                    for name in stage_names:
                        self._kill(name)
                continue
            get(actor.first_token.remote(FIRST_TOKEN_TIMEOUT_S), FIRST_TOKEN_TIMEOUT_S + CALL_TIMEOUT_S)
            return address

    def take_down(self) -> int:
        """End the actors and give their place back. Returns how many there were."""
        with errors_of_ray():
            actors = ray.util.list_named_actors(all_namespaces=True)
            ours = [actor["name"] for actor in actors if actor["namespace"] == self._namespace]
            num_ended = sum(map(self._kill, ours))
            group = self._find_group()
            if group is not None:
                remove_placement_group(group)
        return num_ended

    def _living(self, names: Sequence[str]) -> dict[str, Any]:
        """The actors among `names` that answer. One that does not is ended: a new one needs its name."""
        asked = {}
        for name in names:
            with contextlib.suppress(ValueError):
                actor = ray.get_actor(name, namespace=self._namespace)
                asked[name] = actor, actor.pid.remote()
        if asked:
            ray.wait([reference for _, reference in asked.values()], num_returns=len(asked), timeout=ANSWER_TIMEOUT_S)
        living = {name: actor for name, (actor, reference) in asked.items() if has_answered(reference)}
        for name in asked.keys() - living.keys():
            self._kill(name)
        return living

    def _overtaken(self, living: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """The living stages whose epoch can be overtaken, and the epoch that does; the others are ended.

        Whoever was replaced knows no epoch any more, so the newest of all counts.
        """
        epochs: dict[str, int] = dict(
            zip(living, get([actor.epoch.remote() for actor in living.values()]), strict=True)
        )
        for name, epoch in epochs.items():
            if epoch >= MAX_COUNT:
                self._kill(name)
        kept = {name: actor for name, actor in living.items() if epochs[name] < MAX_COUNT}
        return kept, 1 + max((epochs[name] for name in kept), default=0)

    def _kill(self, name: str) -> bool:
        """End the actor of that name and wait until Ray has forgotten it. False if there was none."""
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        was_there = False
        while time.monotonic() < deadline:
            try:
                ray.kill(ray.get_actor(name, namespace=self._namespace))
            except (ValueError, RayActorError):
                return was_there
            was_there = True
            time.sleep(POLL_S)
        raise UnreachableError(f"Ray: it does not end the actor {name}; run cluster down, then up again")

    def _find_group(self) -> PlacementGroup | None:
        try:
            return ray.util.get_placement_group(self._namespace)
        except ValueError:
            return None

    def _placement_group(self, num_stages: int) -> PlacementGroup:
        """One bundle per stage, as close together as Ray can."""
        group = self._find_group()
        if group is not None:
            return group
        group = placement_group([{"CPU": 1}] * num_stages, strategy="PACK", name=self._namespace, lifetime="detached")
        if not group.wait(PLACE_TIMEOUT_S):
            free = ray.available_resources().get("CPU", 0)
            remove_placement_group(group)
            raise CapacityError(
                f"Ray: {num_stages} free CPUs are needed, one per stage, and {free:g} are there; "
                "use fewer stages or add a node"
            )
        return group

    def _start_stage(self, spec: StageSpec, group: PlacementGroup) -> Any:
        strategy = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=spec.stage)
        return self._start(StageWorker, _stage_name(spec.stage), 1, strategy, spec)

    def _start_coordinator(self, spec: CoordinatorSpec, group: PlacementGroup) -> Any:
        """Beside stage 0, so that a step's first hop stays on the node."""
        strategy = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=0)
        return self._start(Coordinator, COORDINATOR, 0, strategy, spec)

    def _start(self, actor: type, name: str, num_cpus: int, strategy: Any, spec: Any) -> Any:
        return (
            ray.remote(actor)
            .options(
                name=name,
                namespace=self._namespace,
                lifetime="detached",
                num_cpus=num_cpus,
                max_restarts=0,
                scheduling_strategy=strategy,
            )
            .remote(spec, str(self._home.folder))
        )

    def _load(self, stages: Sequence[Any], report: Report) -> list[LoadedStage]:
        """Let all stages load side by side, and report until each is ready. Raises the first failure."""
        with LastWords() as words:
            for number, stage in enumerate(stages):
                stage.load.remote(words.path(number))
            return self._wait_loaded(stages, words, report)

    def _wait_loaded(self, stages: Sequence[Any], words: LastWords, report: Report) -> list[LoadedStage]:
        while True:
            references = [stage.progress.remote() for stage in stages]
            states: list[LoadProgress] = [
                get(reference, why=partial(_death, number, words)) for number, reference in enumerate(references)
            ]
            report([(state.phase, state.fraction) for state in states])
            for state in states:
                if state.error is not None:
                    raise state.error
            loaded = [state.loaded for state in states if state.loaded is not None]
            if len(loaded) == len(stages):
                return loaded
            time.sleep(POLL_S)


def _stage_name(stage: int) -> str:
    return f"stage-{stage}"


def _wire(stages: Sequence[Any], stage: int, wiring: Wiring) -> str:
    address: str = get(stages[stage].wire.remote(wiring))
    return address


def _death(stage: int, words: LastWords) -> str:
    return f"stage {stage}: its process died while loading: {words.why(stage)}"
