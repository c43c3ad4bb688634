"""Up, repair, down: what the command line does with a cluster, and what it remembers in between.

Ray is imported only when actors are touched, so that planning errors and `down` answer at once.
"""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.actors.asking.own_status import status_at
from cluster.actors.driver.driving import remembered
from cluster.actors.front import check_front, is_front_lost, open_front, prepare_front
from cluster.actors.ground.chosen import chosen_ground
from cluster.actors.ground.ground import Ground, Progress
from cluster.actors.ground.other_nodes import OtherNodes
from cluster.actors.nodes.ending import end_each, end_nodes
from cluster.actors.placing import Placing, freed, node_of, same_model
from cluster.actors.ray_side.start.gcs import restart_gcs
from cluster.actors.repair import Diagnosis, Remedy, is_due
from cluster.actors.supervising.appointing import is_supervised, is_supervisor_lost, open_supervisor, prepare_supervisor
from cluster.api.errors import ClusterError, UnreachableError, UsageError
from cluster.config import ClusterConfig, config_of, record_of
from cluster.membership.participant import RETURN
from cluster.membership.registry_file import open_registry, read_registry
from cluster.node.home import forget_home, read_home
from cluster.node.kept_secrets import have_secrets, remove_secrets, write_secrets
from cluster.node.processes import end_marked
from cluster.node.ray_health import ray_trouble, trouble_at
from cluster.node.run_folder import make_run_folder, remove_run_folder, run_folder_path
from cluster.node.secret import given_secret
from cluster.node.state import ClusterState, read_state, remove_state, state_path, write_state
from cluster.node.state_lock import state_lock
from cluster.sources.freshness import check_unchanged
from cluster.store.slices import SliceStore
from cluster.wire.transport.channel import check_port_free

if TYPE_CHECKING:
    from cluster.planning.model_plan import ModelPlan


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `up` did: a line for the user, and where clients connect."""

    note: str
    address: str
    config: ClusterConfig
    http: str = ""  # base address of the HTTP server; "" where there is none


class Lifecycle:
    """Brings the one cluster of this user and state directory up, and takes it down."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._placing = Placing(progress)

    def up(self, config: ClusterConfig | None) -> Outcome:
        """Start, repair or find the cluster. `config` None means: as remembered.

        Errors leave nothing running that was not running before.
        """
        with state_lock(waiting=self._say_waiting):
            state = read_state()
            if state is None:
                if config is None:
                    raise UsageError("up: no model given and no cluster remembered; name a GGUF, or use --demo")
                return self._start(config)
            wanted = config or config_of(state.config)
            return self._again(state, wanted)

    def down(self, drain_s: float = 0.0) -> str:
        """End whatever the state file remembers, on all nodes. Returns a line for the user.

        `drain_s`: requests that are open have so long to end, while new ones are refused.
        """
        # An `up` or a repair still at work would start anew what we end, so it goes first. Ray may start a supervisor
        # again that was ended so: that one finds the lock taken, and then nothing to watch any more.
        with state_lock(end_holder=True):
            state = read_state()
            if state is None:
                return "no cluster is up"
            if drain_s and state.ready and _ray_trouble(state) is None:
                with suppress(ClusterError), remembered(state) as launch:
                    launch.drain(drain_s)
            num_ended = self._take_down(state, "cluster down, on the head")
        return f"the cluster is down ({num_ended} processes ended)"

    def _say_waiting(self) -> None:
        self._progress.note("waiting for the repair that is under way")

    def drain(self, name: str) -> str:
        """Move what the node `name` computes to the others, and let it go. Returns a line for the user.

        Where the others cannot take it, nothing has changed: CapacityError says what is missing.
        """
        with state_lock(waiting=self._say_waiting):
            state, home = read_state(), read_home(state_path().parent)
            member = read_registry(home.folder).find(name) if home.record is not None else None
            if state is None or home.record is None:
                raise UsageError("drain: no cluster of several machines is up here; run it on the head")
            if name == home.record.name:
                raise UsageError(f"drain: {name} is the head, without which there is no cluster; see cluster down")
            if member is None:
                raise UsageError(f"drain: no node is called {name[:64]!a}; see cluster nodes")
            if state.ready and any(node_of(device) == name for device in state.devices):
                self._move_off(state, name)
            with open_registry(home.folder) as registry:
                registry.leave(name, time.time())
            failures = end_each(home, [(name, member.host)], "drained, on the head")
        return f"{name} has left{f', but: {failures[0]}' if failures else ''}"

    def _move_off(self, state: ClusterState, name: str) -> None:
        """Place the layers anew, on all nodes but one."""
        config = config_of(state.config)
        if any(node_of(device) == name for device in config.devices):
            raise UsageError(f"drain: --devices has placed layers on {name}; start the cluster with other --devices")
        self._progress.note(f"moving the layers of {name} to other nodes")
        with remembered(state) as launch:
            others = freed(OtherNodes(launch.agents, name), state)
            plan = self._placing.plan_without(state, config, others)
            self._placing.bring_up(launch, state, plan)
            open_supervisor(launch, config, plan)

    def _again(self, state: ClusterState, config: ClusterConfig) -> Outcome:
        """There is a remembered cluster: it is fine, or lost stages or its Ray, or is a wreck."""
        if read_home(state_path().parent).record is not None and state.owns_ray:
            with suppress(ClusterError):  # what is wrong with it is found next
                restart_gcs(Path(state.run_folder))
        found = _diagnose(state)
        different = [key for key, value in record_of(config).items() if state.config.get(key) != value]
        if found.is_up and different:
            raise UsageError(
                f"up: a cluster with other settings is up ({', '.join(different)} differ); run cluster down first"
            )
        remedy, trouble = found.remedy(), found.trouble
        if remedy is Remedy.NOTHING:
            if note := check_unchanged(config.model, state.model_version, state.model_hash):
                self._progress.note(f"warning: {note}")
            return self._completed(state, config)
        if remedy is Remedy.REPAIR:
            try:
                return self._repair(state, config, trouble)
            except UnreachableError as error:
                trouble = f"{trouble}; {error}"
        self._progress.note(f"cleaning up what is left of the former cluster ({trouble})")
        self._take_down(state, RETURN)
        return self._start(config)

    def _completed(self, state: ClusterState, config: ClusterConfig) -> Outcome:
        """Of a cluster that serves, those beside it may be gone all the same: the HTTP server, and who repairs."""
        front, supervisor = is_front_lost(config, state), is_supervisor_lost(config, state)
        if not front and not supervisor:
            return Outcome("already up and ready", state.address, config, state.http)
        http = state.http
        with remembered(state) as launch:
            if front:
                prepare_front(launch, config, state)
            if supervisor:
                prepare_supervisor(launch, config, state, None)
                open_supervisor(launch, config, None)
            if front:
                http = open_front(launch, config)
        lost = " and ".join(
            name for name, is_lost in (("its HTTP server", front), ("its supervisor", supervisor)) if is_lost
        )
        return Outcome(f"the cluster is up, and {lost} again", state.address, config, http)

    def _start(self, config: ClusterConfig) -> Outcome:
        ground = chosen_ground(config, self._progress)
        plan = self._placing.plan(config) if ground.is_alone else None
        if plan is None:
            self._placing.check(config)  # what cannot be served at all is refused before anything is started
        if config.port and ground.is_alone:
            check_port_free(config.host, config.port)
        check_front(config)
        client_secret = given_secret(Path(config.client_secret_file)) if config.client_secret_file else None
        instance = secrets.token_hex(8)
        state = ClusterState(
            instance=instance,
            ray_address="",
            ray_namespace=f"ggml-cluster-{instance}",
            owns_ray=ground.owns_ray,
            run_folder=str(run_folder_path(instance)),
            address="",
            ready=False,
            config=record_of(config),
        )
        write_state(state)
        try:
            make_run_folder(Path(state.run_folder))
            write_secrets(client_secret)
            state = ground.begin(state, len(plan.stages) if plan else 0)
            write_state(state)
            return self._finish(state, config, ground, plan, "the cluster is up")
        except BaseException as error:
            self._take_back(state)
            if isinstance(error, ClusterError):
                explained = ground.explained(error)
                if explained is not error:
                    raise explained from error
            raise

    def _take_back(self, state: ClusterState) -> None:
        """After a start that failed, which stays the news. What cannot be ended now stays remembered for `down`."""
        try:
            self._take_down(read_state() or state, RETURN)
        except ClusterError as error:
            self._progress.note(f"warning: {error}")

    def _repair(self, state: ClusterState, config: ClusterConfig, trouble: str) -> Outcome:
        self._progress.note(f"repairing: {trouble}")
        ground = chosen_ground(config, self._progress)
        plan = same_model(state, self._placing.plan(config, state.bounds)) if ground.is_alone else None
        return self._finish(state, config, ground, plan, f"the cluster is repaired (it was: {trouble})")

    def _finish(
        self, state: ClusterState, config: ClusterConfig, ground: Ground, plan: ModelPlan | None, note: str
    ) -> Outcome:
        """Bring the stages up by a `plan`, or by one that is made of the nodes there are."""
        with remembered(state) as launch:
            state = replace(state, has_actors=True)
            write_state(state)
            plan = plan or self._placing.plan_over(state, config, ground.nodes(launch, waits=not state.bounds))
            prepare_supervisor(launch, config, state, plan)
            has_front = not plan.is_program and prepare_front(launch, config, state)
            address = self._placing.bring_up(launch, state, plan)
            open_supervisor(launch, config, plan)
            http = open_front(launch, config) if has_front else ""
        return Outcome(note, address, config, http)

    def _take_down(self, state: ClusterState, reason: str) -> int:
        """End actors and Ray as far as they are ours; remove our files. Never fails halfway for good.

        `reason`: what other machines are told; after `RETURN`, they come back to the next start.
        """
        num_ended, home = 0, read_home(state_path().parent)
        if home.record is not None and state.owns_ray:
            for failure in end_nodes(home, reason):
                self._progress.note(f"warning: {failure}; it ends by itself once it meets another cluster here")
        if state.owns_ray:
            known = [(pid, ticks) for _, pid, ticks in state.ray_processes]
            num_ended = end_marked(state.instance, [*known, *state.members])
        elif state.has_actors and _ray_trouble(state) is None:
            with remembered(state) as launch:
                num_ended = launch.take_down()
        remove_run_folder(Path(state.run_folder))
        with suppress(OSError):  # a store that cannot be written has nothing of ours that is half written
            SliceStore().sweep()
        remove_state()
        remove_secrets()
        home.journal_file.unlink(missing_ok=True)  # its requests have ended
        forget_home(state_path().parent)
        return num_ended


def _ray_trouble(state: ClusterState) -> str | None:
    """Why the Ray that the cluster lives in cannot be asked for anything; None if it can."""
    return trouble_at(state.ray_address, state.ray_processes)


def _diagnose(state: ClusterState) -> Diagnosis:
    """What is there of the cluster that was remembered."""
    ray = _ray_trouble(state)
    if not state.ready:
        return Diagnosis(False, ray, "an earlier start did not finish", have_secrets())
    try:
        health = status_at(state.address).health
    except (UnreachableError, UsageError) as error:  # also where the secret is gone
        return Diagnosis(ray is None, ray, ray or str(error), have_secrets())
    return Diagnosis(True, ray, ray or ("" if health.is_ready else str(health)), have_secrets())


def repair_is_due(state: ClusterState) -> bool:
    """Whether `up` is to be run for a cluster that is watched in the foreground.

    What a supervisor repairs is left to it, also where that gave up: once is enough to find out that it is of no use.
    """
    config, ray = config_of(state.config), ray_trouble(state.ray_processes)
    is_left = ray is None and is_supervised(state)  # without Ray, a supervisor can do nothing
    try:
        status = status_at(state.address)
    except (UnreachableError, UsageError):
        return not is_left
    if not status.health.is_ready:
        return not is_left and is_due(status, ray)
    return is_front_lost(config, state) or (config.repair and ray is None and not is_left)
