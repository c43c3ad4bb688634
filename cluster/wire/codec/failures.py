"""Slots that a stage could do nothing for <-> their messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cluster.api.errors import UsageError
from cluster.messages.step import SlotFailure
from cluster.wire import limits
from cluster.wire.limits import check_length, check_name, check_range
from protos import stage_pb2


def encode_failures(failures: Iterable[SlotFailure]) -> list[stage_pb2.SlotFailure]:
    return [
        stage_pb2.SlotFailure(slot=failure.slot, kind=failure.kind, reason=_fit_for_wire(failure.reason))
        for failure in failures
    ]


def decode_failures(messages: Sequence[stage_pb2.SlotFailure], num_slots: int) -> tuple[SlotFailure, ...]:
    """UsageError names the field that is out of bounds; each slot fails once at most."""
    if not messages:
        return ()
    check_length("failures", messages, num_slots)
    slots = [check_range("failures.slot", failure.slot, 0, num_slots - 1) for failure in messages]
    if len(set(slots)) != len(slots):
        raise UsageError("failures: a slot is named twice; name it once")
    for failure in messages:
        check_name("failures.kind", failure.kind)
        check_length("failures.reason", failure.reason, limits.MAX_REASON_CHARS)
    return tuple(SlotFailure(failure.slot, failure.kind, failure.reason) for failure in messages)


def _fit_for_wire(reason: str) -> str:
    return reason[: limits.MAX_REASON_CHARS].encode("utf-8", "replace").decode()
