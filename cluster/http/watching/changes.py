"""What has happened to a cluster between two looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from cluster.api.status import ClusterStatus


class ChangeKind(StrEnum):
    """What a change means for whoever watches."""

    LOST = "lost"  # something does not serve any more
    RECOVERED = "recovered"  # it does again
    EPOCH = "epoch"  # the stages were wired anew, perhaps with other layers


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened."""

    kind: ChangeKind
    text: str  # a sentence for a person
    stage: int | None = None


def changes(before: ClusterStatus | None, after: ClusterStatus | None, why: str = "") -> Iterator[Change]:
    """None stands for a cluster that does not answer, for the reason `why`."""
    if before is None or after is None:
        if before is not None:
            yield Change(ChangeKind.LOST, f"The cluster is away: {why}")
        elif after is not None:
            yield Change(ChangeKind.RECOVERED, f"The cluster answers: {after.state}")
        return
    if before.model_hash != after.model_hash:
        yield Change(ChangeKind.EPOCH, f"Another model is served: {after.model}")
        return
    yield from _stages(before, after)
    if before.health.is_ready and not after.health.is_ready:
        yield Change(ChangeKind.LOST, f"The cluster is {after.state}")
    elif after.health.is_ready and not before.health.is_ready:
        yield Change(ChangeKind.RECOVERED, "The cluster serves again")
    if after.epoch != before.epoch:
        yield Change(ChangeKind.EPOCH, _wired(before, after))


def _stages(before: ClusterStatus, after: ClusterStatus) -> Iterator[Change]:
    was_ready = {stage.stage: stage.facts.health.is_ready for stage in before.stages}
    for stage in after.stages:
        ready = stage.facts.health.is_ready
        if was_ready.get(stage.stage, ready) and not ready:
            yield Change(ChangeKind.LOST, f"Stage {stage.stage} on {stage.node} is {stage.state}", stage.stage)
        elif ready and not was_ready.get(stage.stage, ready):
            yield Change(ChangeKind.RECOVERED, f"Stage {stage.stage} on {stage.node} is ready", stage.stage)


def _wired(before: ClusterStatus, after: ClusterStatus) -> str:
    said = f"Epoch {after.epoch}: the stages were wired anew"
    moved = [
        f"stage {new.stage} has layers {new.first} to {new.end - 1} on {new.device} of {new.node}"
        for old, new in zip(before.stages, after.stages, strict=False)
        if (old.first, old.end, old.node, old.device) != (new.first, new.end, new.node, new.device)
    ]
    if len(before.stages) != len(after.stages):
        moved.insert(0, f"{len(after.stages)} stages instead of {len(before.stages)}")
    return f"{said}; {', '.join(moved)}" if moved else said
