"""A cluster of the same stages and coordinator as `cluster up` makes, in plain processes instead of Ray's actors."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.actors.driver.wiring import wire_all
from cluster.actors.shells.coordinator import Coordinator
from cluster.actors.shells.stage_worker import StageWorker
from cluster.api.errors import ClusterError
from cluster.client.sync import Client, connect
from cluster.config import ClusterConfig
from cluster.node.disk import temporary_folder
from cluster.node.kept_secrets import client_secret_path
from cluster.node.secret import Secret, write_secret
from cluster.planning.any_plan import plan_model
from cluster.planning.model_plan import ModelPlan
from cluster.stage.spec import LoadedStage, LoadProgress, StageSpec
from tests.gpu.kit.process import Remote

LOAD_TIMEOUT_S = 300.0
FIRST_TOKEN_TIMEOUT_S = 60.0
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Launched:
    """A cluster that has answered with a token. `loaded` is what each stage said when it had its weights."""

    plan: ModelPlan
    client: Client
    loaded: tuple[LoadedStage, ...]
    coordinator: Remote
    stages: tuple[Remote, ...]
    specs: tuple[StageSpec, ...]

    def rewire(self) -> None:
        """A new epoch with the same processes: every sequence is forgotten, as after a stage was lost."""
        _wire(self.coordinator, self.stages, self.specs, self.loaded)


@contextmanager
def launched(
    config: ClusterConfig, bounds: Sequence[int] = (), environment: Mapping[str, str] | None = None
) -> Iterator[Launched]:
    """Plan, start, load, wire; all processes are ended at the end. `environment` is added to that of the stages.

    `bounds`: where the slices begin, and the end of the last; () lets the planner place them.
    """
    plan = plan_model(config, bounds)
    with ExitStack() as stack:
        secret_file = _secret_file(stack.enter_context(temporary_folder("ggml-cluster-kit-")))
        arguments = str(secret_file.parent)
        stages = [
            _started(stack, Remote(StageWorker, spec, arguments, environment=environment)) for spec in plan.stages
        ]
        coordinator = _started(stack, Remote(Coordinator, plan.coordinator, arguments))
        for stage in stages:
            stage.call("load")
        loaded = [_await_loaded(stage) for stage in stages]
        address: str = coordinator.call("start")
        _wire(coordinator, stages, plan.stages, loaded)
        client = stack.enter_context(connect(address, client_secret_path(secret_file)))
        yield Launched(plan, client, tuple(loaded), coordinator, tuple(stages), plan.stages)


def _secret_file(folder: Path) -> Path:
    """Both of a cluster's secrets, as `cluster up` lays them beside each other."""
    secret = Secret.new()
    path = folder / "secret"
    write_secret(path, secret)
    write_secret(client_secret_path(path), secret.for_clients)
    return path


def _started(stack: ExitStack, remote: Remote) -> Remote:
    stack.callback(remote.close)
    return remote


def _await_loaded(stage: Remote) -> LoadedStage:
    deadline_s = time.monotonic() + LOAD_TIMEOUT_S
    while time.monotonic() < deadline_s:
        progress: LoadProgress = stage.call("progress")
        if progress.error is not None:
            raise progress.error
        if progress.loaded is not None:
            return progress.loaded
        time.sleep(POLL_S)
    raise ClusterError(f"a stage is not loaded after {LOAD_TIMEOUT_S:.0f} s; it is {progress.phase}")


def _wire(
    coordinator: Remote, stages: Sequence[Remote], specs: Sequence[StageSpec], loaded: Sequence[LoadedStage]
) -> None:
    """From the last stage to the first, then the coordinator; until a token came back."""
    epoch = 1 + int(coordinator.call("hold_recovery"))
    ends = wire_all(specs, loaded, epoch, lambda stage, wiring: str(stages[stage].call("wire", wiring)))
    coordinator.call("wire", epoch, ends)
    coordinator.call("first_token", FIRST_TOKEN_TIMEOUT_S, timeout_s=2 * FIRST_TOKEN_TIMEOUT_S)
