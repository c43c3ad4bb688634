"""A cluster's status as JSON gives it: flat rows, with the states as text."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from cluster.api.status import ClusterStatus, Health, StageFacts


def status_record(status: ClusterStatus) -> dict[str, Any]:
    """For `json.dumps`. Scripts read its keys."""
    stages = [{**_flat(stage.facts), "address": stage.address, **asdict(stage.activity)} for stage in status.stages]
    return {**_flat(status), "stages": stages}


def _flat(record: ClusterStatus | StageFacts) -> dict[str, Any]:
    """The fields; the health as the text "state"."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return {("state" if name == "health" else name): _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Health) else value
