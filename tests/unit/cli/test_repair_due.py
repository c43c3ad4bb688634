"""When `cluster up --foreground` repairs: at once, or when those who are answered have their answers."""

from __future__ import annotations

import os

import pytest

from cluster.actors.lifecycle import repair_is_due
from cluster.api.errors import UnreachableError, UsageError
from cluster.api.status import ClusterStatus, StageStatus
from cluster.node.processes import start_ticks
from cluster.node.ray_health import RayProcess
from cluster.node.state import ClusterState

ALIVE = RayProcess("raylet", os.getpid(), start_ticks(os.getpid()) or 0)
DEAD = RayProcess("raylet", os.getpid(), 1)


def make_state(process: RayProcess) -> ClusterState:
    return ClusterState("i", "127.0.0.1:1", "n", True, "", "127.0.0.1:2", True, {}, ray_processes=(process,))


def make_status(state: str, stage_state: str, num_slots_used: int) -> ClusterStatus:
    stage = StageStatus(0, "n", "CPU", 0, 1, stage_state, 1, "a", 0, 0, 0, 0, 0.0, 0.0, 0)
    return ClusterStatus("m", "h", "llama", state, "a", 1, 64, 8, num_slots_used, 0, 0, 0, 0.0, 100, (stage,))


@pytest.mark.parametrize(
    ("process", "state", "stage_state", "num_slots_used", "is_due"),
    [
        (ALIVE, "ready", "ready", 0, False),
        (ALIVE, "degraded: stage 0 is lost", "lost: x", 8, True),
        (ALIVE, "degraded: the engine has ended", "ready", 8, True),
        (DEAD, "degraded: Ray's raylet is dead", "ready", 0, True),
        (DEAD, "degraded: Ray's raylet is dead", "ready", 1, False),
        (DEAD, "degraded: stage 0 is lost", "lost: x", 1, True),
    ],
)
def test_when(
    process: RayProcess,
    state: str,
    stage_state: str,
    num_slots_used: int,
    is_due: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cluster.actors.lifecycle.status_at", lambda _: make_status(state, stage_state, num_slots_used))
    assert repair_is_due(make_state(process)) is is_due


@pytest.mark.parametrize("error", [UnreachableError("gone"), UsageError("no secret")])
def test_one_that_cannot_be_asked_is_repaired(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> ClusterStatus:
        raise error

    monkeypatch.setattr("cluster.actors.lifecycle.status_at", fail)
    assert repair_is_due(make_state(ALIVE))
