"""What is told of a cluster that changed."""

from __future__ import annotations

from dataclasses import replace

from cluster.api.status import ClusterStatus, Condition, Health, StageActivity, StageFacts, StageStatus
from cluster.http.watching.changes import ChangeKind, changes


def stage(number: int, first: int, end: int, health: Health | None = None) -> StageStatus:
    facts = StageFacts(number, "one", "CPU", first, end, health or Health(), 1, 0, 0, 0, 0)
    return StageStatus(facts, StageActivity(), "a")


STATUS = ClusterStatus(
    "m", "hash", "llama", Health(), "a", 1, 512, 4, 0, 0, 0, 0, 1.0, 100, stages=(stage(0, 0, 4), stage(1, 4, 8))
)


def told(before: ClusterStatus | None, after: ClusterStatus | None) -> list[tuple[ChangeKind, str]]:
    return [(change.kind, change.text) for change in changes(before, after, "no route")]


def test_nothing_is_told_of_figures() -> None:
    assert told(STATUS, replace(STATUS, num_tokens=9, uptime_s=2.0)) == []
    assert told(None, None) == []


def test_a_cluster_goes_and_comes() -> None:
    assert told(STATUS, None) == [(ChangeKind.LOST, "The cluster is away: no route")]
    assert told(None, STATUS) == [(ChangeKind.RECOVERED, "The cluster answers: ready")]


def test_a_stage_is_lost_and_comes_back_with_other_layers() -> None:
    sick = Health(Condition.LOST, "its cable was cut")
    lost = replace(STATUS, health=Health(Condition.DEGRADED, "no"), stages=(stage(0, 0, 4), stage(1, 4, 8, sick)))
    assert told(STATUS, lost) == [
        (ChangeKind.LOST, "Stage 1 on one is lost: its cable was cut"),
        (ChangeKind.LOST, "The cluster is degraded: no"),
    ]
    back = replace(STATUS, epoch=2, stages=(stage(0, 0, 5), stage(1, 5, 8)))
    assert told(lost, back) == [
        (ChangeKind.RECOVERED, "Stage 1 on one is ready"),
        (ChangeKind.RECOVERED, "The cluster serves again"),
        (
            ChangeKind.EPOCH,
            "Epoch 2: the stages were wired anew; stage 0 has layers 0 to 4 on CPU of one, "
            "stage 1 has layers 5 to 7 on CPU of one",
        ),
    ]


def test_fewer_stages_and_another_model_are_told() -> None:
    assert told(STATUS, replace(STATUS, epoch=2, stages=(stage(0, 0, 8),)))[0][1].startswith(
        "Epoch 2: the stages were wired anew; 1 stages instead of 2"
    )
    assert told(STATUS, replace(STATUS, model_hash="other", model="n")) == [
        (ChangeKind.EPOCH, "Another model is served: n")
    ]
