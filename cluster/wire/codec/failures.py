"""Slots that a stage could do nothing for <-> their messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cluster.api.errors import UsageError
from cluster.messages.step import SlotFailure
from cluster.wire import limits
from cluster.wire.codec.record import fields_of, record_of
from cluster.wire.limits import check_length
from protos import stage_pb2


def encode_failures(failures: Iterable[SlotFailure]) -> list[stage_pb2.SlotFailure]:
    return [stage_pb2.SlotFailure(**fields_of(failure)) for failure in failures]


def decode_failures(messages: Sequence[stage_pb2.SlotFailure], num_slots: int) -> tuple[SlotFailure, ...]:
    """UsageError names the field that is out of bounds; each slot fails once at most."""
    if not messages:
        return ()
    check_length("failures", messages, num_slots)
    bounds = {"failures.slot": (0, num_slots - 1), "failures.kind": (0, limits.MAX_NAME_CHARS)}
    failures = tuple(record_of(SlotFailure, message, "failures", bounds) for message in messages)
    if len({failure.slot for failure in failures}) != len(failures):
        raise UsageError("failures: a slot is named twice; name it once")
    return failures
