"""StepTiming <-> its message."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.messages.step import StepTiming
from cluster.wire import limits
from cluster.wire.codec.step_id import decode_step_id, step_id_fields
from cluster.wire.limits import check_range
from protos import stage_pb2


def encode_timings(timings: Iterable[StepTiming]) -> stage_pb2.StageEvent:
    """One message for all of them."""
    return stage_pb2.StageEvent(timings=stage_pb2.StepTimings(timings=map(encode_timing, timings)))


def encode_timing(timing: StepTiming) -> stage_pb2.StepTiming:
    return stage_pb2.StepTiming(
        id=step_id_fields(timing.id),
        stage=timing.stage,
        num_rows=timing.num_rows,
        start_ns=timing.start_ns,
        end_ns=timing.end_ns,
        received_ns=timing.received_ns,
        waited=timing.waited,
    )


def decode_timing(message: stage_pb2.StepTiming) -> StepTiming:
    return StepTiming(
        id=decode_step_id(message.id),
        stage=check_range("timing.stage", message.stage, 0, limits.MAX_STAGES - 1),
        num_rows=check_range("timing.num_rows", message.num_rows, 0, limits.MAX_ROWS),
        start_ns=check_range("timing.start_ns", message.start_ns, 0, limits.MAX_COUNT),
        end_ns=check_range("timing.end_ns", message.end_ns, message.start_ns, limits.MAX_COUNT),
        received_ns=check_range("timing.received_ns", message.received_ns, 0, limits.MAX_COUNT),
        waited=message.waited,
    )
