"""A program with real stages and its coordinator in this process, placed and wired as `cluster up` does it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cluster
from cluster.actors.driver.wiring import wire_all
from cluster.config import ClusterConfig
from cluster.coordinator.programs.service import ProgramService
from cluster.coordinator.service import CoordinatorService
from cluster.coordinator.spec import ProgramSpec
from cluster.planning.any_plan import plan_model
from cluster.stage.loading import load_stage
from cluster.stage.service import StageService
from cluster.stage.spec import LoadedStage
from cluster.wire.access.endpoint import Listener
from cluster.wire.access.keys import Keys
from tests.fakes.wire_backends import SECRET, no_thread_left, wait_until


@dataclass
class ServedProgram:
    """What runs, and where clients connect."""

    coordinator: ProgramService | CoordinatorService
    stages: list[StageService]
    address: str

    def joins(self) -> set[bool | None]:
        """Whether stages compute the next tokens of several texts in one call."""
        runners = [stage._runner for stage in self.stages]
        return {runner.model.calls._can_join for runner in runners if runner is not None}

    def client(self) -> cluster.Client:
        return cluster.connect(self.address, SECRET.for_clients.text)


@contextmanager
def served_program(path: Path, num_stages: int, **settings: Any) -> Iterator[ServedProgram]:
    """Until the block ends; then no thread of it is left."""
    with no_thread_left(), ExitStack() as stack:
        # A stage that is ready takes the heap of its process out of collections, and here others live in that, too.
        stack.callback(gc.unfreeze)
        plan = plan_model(ClusterConfig(str(path), stages=num_stages, threads=1, **settings))
        keys = Keys(SECRET)
        stages = [StageService(spec, load_stage, keys.for_stages) for spec in plan.stages]
        for stage in stages:
            stack.callback(stage.stop)
            stage.start_loading()
        wait_until(lambda: all(stage.progress().phase in ("ready", "failed") for stage in stages), 60)
        clients = Listener(SECRET.for_clients)
        coordinator: ProgramService | CoordinatorService
        if isinstance(plan.coordinator, ProgramSpec):
            coordinator = ProgramService(plan.coordinator, keys, clients)
        else:
            coordinator = CoordinatorService(plan.coordinator, keys, clients)
        stack.callback(coordinator.stop)
        address = coordinator.start()
        loaded = [_loaded(stage) for stage in stages]
        coordinator.wire(1, wire_all(plan.stages, loaded, 1, lambda stage, wiring: stages[stage].wire(wiring)))
        coordinator.first_token(30)
        yield ServedProgram(coordinator, stages, address)


def _loaded(stage: StageService) -> LoadedStage:
    loaded = stage.progress().loaded
    assert loaded is not None, stage.progress().error
    return loaded
