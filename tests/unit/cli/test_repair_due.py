"""When `cluster up --foreground` repairs: at once, or when those who are answered have their answers."""

from __future__ import annotations

import os

import pytest

from cluster.actors.lifecycle import repair_is_due
from cluster.api.errors import UnreachableError, UsageError
from cluster.api.status import ClusterStatus, Condition, Health, StageActivity, StageFacts, StageStatus
from cluster.node.processes import start_ticks
from cluster.node.ray_health import RayProcess
from cluster.node.state import ClusterState

ALIVE = RayProcess("raylet", os.getpid(), start_ticks(os.getpid()) or 0)
DEAD = RayProcess("raylet", os.getpid(), 1)


READY, LOST = Health(), Health(Condition.LOST, "x")
STAGE_IS_LOST = Health(Condition.DEGRADED, "stage 0 is lost")


def make_state(process: RayProcess) -> ClusterState:
    return ClusterState(
        "i", "127.0.0.1:1", "n", True, "", "127.0.0.1:2", True, {"model": "m", "http": "off"}, ray_processes=(process,)
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
