"""What a stage tells the coordinator <-> StageEvent: timings, results with their logits, failures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster.api.errors import UsageError
from cluster.messages.program import AnyResult, ProgramResult
from cluster.messages.stage import StageFailure
from cluster.messages.step import StepTiming
from cluster.wire import limits
from cluster.wire.codec.program import ProgramAssembly, as_result, program_parts
from cluster.wire.codec.record import fields_of
from cluster.wire.codec.result import ResultAssembly, encode_result
from cluster.wire.codec.timing import decode_timing
from cluster.wire.limits import check_length, check_range
from protos import stage_pb2

UrgentEvent = AnyResult | StageFailure
Event = StepTiming | UrgentEvent


def encode_event(event: UrgentEvent) -> Iterator[stage_pb2.StageEvent]:
    """The messages of one event: one, but for a result with many logits or arrays."""
    if isinstance(event, StageFailure):
        failure = stage_pb2.StageFailure(**fields_of(event))
        yield stage_pb2.StageEvent(failure=failure)
    elif isinstance(event, ProgramResult):
        yield from (stage_pb2.StageEvent(program=part) for part in program_parts(event))
    else:
        yield from encode_result(event)


class EventAssembly:
    """Turns the messages of one Watch stream into events, one after the other."""

    def __init__(self) -> None:
        self._result = ResultAssembly()
        self._program = ProgramAssembly()

    def add(self, message: stage_pb2.StageEvent) -> Sequence[Event]:
        """The events that this message brings or completes. UsageError leaves the stream unusable."""
        kind = message.WhichOneof("kind")
        if kind == "result" and not self._program.is_open:
            result = self._result.add(message.result)
            return () if result is None else (result,)
        if kind == "program" and not self._result.is_open:
            call = self._program.add(message.program)
            return () if call is None else (as_result(call),)
        if self._result.is_open or self._program.is_open:
            raise UsageError("result: another event while parts of it are missing; send them first")
        if kind == "timings":
            check_length("timings", message.timings.timings, limits.MAX_INTERVALS)
            return [decode_timing(timing) for timing in message.timings.timings]
        if kind == "failure":
            return (_decode_failure(message.failure),)
        raise UsageError(f"event: {kind} is not expected here; send timings, results or failures")


def _decode_failure(message: stage_pb2.StageFailure) -> StageFailure:
    check_length("failure.reason", message.reason, limits.MAX_REASON_CHARS)
    return StageFailure(
        check_range("failure.stage", message.stage, 0, limits.MAX_STAGES - 1),
        check_range("failure.epoch", message.epoch, 0, limits.MAX_COUNT),
        message.reason,
    )
