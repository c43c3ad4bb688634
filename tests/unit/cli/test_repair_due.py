"""When `cluster up --foreground` repairs: at once, or when those who are answered have their answers."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.actors.lifecycle import repair_is_due
from cluster.api.errors import UnreachableError, UsageError
from cluster.api.status import ClusterStatus, Condition, Health, StageActivity, StageFacts, StageStatus
from cluster.node.processes import start_ticks
from cluster.node.ray_health import RayProcess
from cluster.node.state import ClusterState
from cluster.node.supervision import Supervision, write_supervision

ALIVE = RayProcess("raylet", os.getpid(), start_ticks(os.getpid()) or 0)
DEAD = RayProcess("raylet", os.getpid(), 1)


READY, LOST = Health(), Health(Condition.LOST, "x")
STAGE_IS_LOST = Health(Condition.DEGRADED, "stage 0 is lost")


def make_state(process: RayProcess, run_folder: Path = Path("/nowhere"), *, repair: bool = False) -> ClusterState:
    config = {"model": "m", "http": "off", "repair": repair}
    return ClusterState(
        "i", "127.0.0.1:1", "n", True, str(run_folder), "127.0.0.1:2", True, config, ray_processes=(process,)
    )


def make_status(health: Health, stage_health: Health, num_slots_used: int) -> ClusterStatus:
    facts = StageFacts(0, "n", "CPU", 0, 1, stage_health, 1, 0, 0, 0, 0)
    stage = StageStatus(facts, StageActivity(), "a")
    return ClusterStatus("m", "h", "llama", health, "a", 1, 64, 8, num_slots_used, 0, 0, 0, 0.0, 100, (stage,))


@pytest.mark.parametrize(
    ("process", "health", "stage_health", "num_slots_used", "is_due"),
    [
        (ALIVE, READY, READY, 0, False),
        (ALIVE, STAGE_IS_LOST, LOST, 8, True),
        (ALIVE, Health(Condition.DEGRADED, "the engine has ended"), READY, 8, True),
        (DEAD, Health(Condition.DEGRADED, "Ray's raylet is dead"), READY, 0, True),
        (DEAD, Health(Condition.DEGRADED, "Ray's raylet is dead"), READY, 1, False),
        (DEAD, STAGE_IS_LOST, LOST, 1, True),
    ],
)
def test_when(
    process: RayProcess,
    health: Health,
    stage_health: Health,
    num_slots_used: int,
    is_due: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "cluster.actors.lifecycle.status_at", lambda _: make_status(health, stage_health, num_slots_used)
    )
    assert repair_is_due(make_state(process)) is is_due


@pytest.mark.parametrize("error", [UnreachableError("gone"), UsageError("no secret")])
def test_one_that_cannot_be_asked_is_repaired(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> ClusterStatus:
        raise error

    monkeypatch.setattr("cluster.actors.lifecycle.status_at", fail)
    assert repair_is_due(make_state(ALIVE))


HERE = Supervision(os.getpid(), start_ticks(os.getpid()) or 0)


@pytest.mark.parametrize(
    ("process", "supervision", "health", "is_due"),
    [
        (ALIVE, HERE, READY, False),
        (ALIVE, HERE, STAGE_IS_LOST, False),
        (ALIVE, HERE, None, False),
        (ALIVE, replace(HERE, given_up="gave up"), STAGE_IS_LOST, False),
        (ALIVE, replace(HERE, start_ticks=1), READY, True),
        (ALIVE, replace(HERE, start_ticks=1), STAGE_IS_LOST, True),
        (ALIVE, None, READY, True),
        (DEAD, HERE, Health(Condition.DEGRADED, "Ray's raylet is dead"), True),
        (DEAD, HERE, None, True),
    ],
)
def test_what_a_supervisor_does_is_left_to_it(
    process: RayProcess,
    supervision: Supervision | None,
    health: Health | None,
    is_due: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def status_at(_: str) -> ClusterStatus:
        if health is None:
            raise UnreachableError("gone")
        return make_status(health, READY, 0)

    tmp_path.chmod(0o700)
    monkeypatch.setattr("cluster.actors.lifecycle.status_at", status_at)
    if supervision is not None:
        write_supervision(tmp_path, supervision)
    assert repair_is_due(make_state(process, tmp_path, repair=True)) is is_due
