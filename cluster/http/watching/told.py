"""What the page is told of a cluster, as JSON. Its names are those of `cluster status --json`, and a few more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from cluster.api.status import ClusterStatus
from cluster.http.watching.watch import Event, Moment, Seen
from cluster.terminal.status_record import status_record

AWAY = {
    "model": "", "architecture": "", "context_length": 0, "epoch": 0, "protection": "", "uptime_s": 0.0,
    "num_slots": 0, "num_slots_used": 0, "num_waiting": 0, "num_requests": 0, "num_tokens": 0, "row_bytes": 0,
    "stages": [], "slots": [],
}  # fmt: skip


def told_state(seen: Seen, reason: str, latest: Moment | None) -> dict[str, Any]:
    """`reason`: why there is no status. `latest`: the last look."""
    status = seen.status
    speed = {"tokens_per_s": latest.tokens_per_s if latest is not None else 0.0}
    if status is None:
        return {**AWAY, **speed, "is_ready": False, "state": f"away: {reason}"}
    record = status_record(status)
    record.pop("plan")
    for stage in record["stages"]:
        stage["bubble_fraction"] = 1.0 - stage["busy_fraction"]
    slots = [asdict(slot) for slot in seen.slots]
    return {**record, **speed, "is_ready": status.health.is_ready, "slots": slots}


def told_plan(status: ClusterStatus | None) -> dict[str, Any]:
    """Where the layers are, and why."""
    if status is None:
        return {"reasons": [], "stages": []}
    names = ("stage", "node", "device", "first", "end", "weight_bytes", "kv_bytes")
    return {
        "epoch": status.epoch,
        "reasons": status.plan.splitlines(),
        "stages": [{name: getattr(stage, name) for name in names} for stage in status.stages],
    }


def told_event(event: Event) -> dict[str, Any]:
    return {"at": event.at, **asdict(event.change)}


def told_history(moments: Iterable[Moment]) -> list[dict[str, Any]]:
    """Oldest first."""
    return [asdict(moment) for moment in moments]
