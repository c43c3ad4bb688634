"""What a stage tells the coordinator <-> StageEvent: timings, results with their logits, failures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from cluster.errors import UsageError
from cluster.messages import SampledToken, StageFailure, StepResult, StepTiming
from cluster.wire import limits
from cluster.wire.codec_rows import RowAssembly, split_rows
from cluster.wire.codec_sampling import decode_top, encode_top
from cluster.wire.codec_step import decode_step_id, encode_step_id
from cluster.wire.limits import check_length, check_range
from protos import stage_pb2

UrgentEvent = StepResult | StageFailure
Event = StepTiming | UrgentEvent


def encode_event(event: UrgentEvent) -> Iterator[stage_pb2.StageEvent]:
    """The messages of one event: one, but for a result with many logits."""
    if isinstance(event, StageFailure):
        reason = event.reason[: limits.MAX_REASON_CHARS]
        failure = stage_pb2.StageFailure(stage=event.stage, epoch=event.epoch, reason=reason)
        yield stage_pb2.StageEvent(failure=failure)
    else:
        yield from _encode_result(event)


def encode_timings(timings: Iterable[StepTiming]) -> stage_pb2.StageEvent:
    """One message for all of them."""
    return stage_pb2.StageEvent(timings=stage_pb2.StepTimings(timings=map(encode_timing, timings)))


def encode_timing(timing: StepTiming) -> stage_pb2.StepTiming:
    return stage_pb2.StepTiming(
        id=encode_step_id(timing.id),
        stage=timing.stage,
        num_rows=timing.num_rows,
        start_ns=timing.start_ns,
        end_ns=timing.end_ns,
        received_ns=timing.received_ns,
    )


def decode_timing(message: stage_pb2.StepTiming) -> StepTiming:
    return StepTiming(
        id=decode_step_id(message.id),
        stage=check_range("timing.stage", message.stage, 0, limits.MAX_STAGES - 1),
        num_rows=check_range("timing.num_rows", message.num_rows, 0, limits.MAX_ROWS),
        start_ns=check_range("timing.start_ns", message.start_ns, 0, limits.MAX_COUNT),
        end_ns=check_range("timing.end_ns", message.end_ns, message.start_ns, limits.MAX_COUNT),
        received_ns=check_range("timing.received_ns", message.received_ns, 0, limits.MAX_COUNT),
    )


class EventAssembly:
    """Turns the messages of one Watch stream into events, one after the other."""

    def __init__(self) -> None:
        self._header: stage_pb2.ResultHeader | None = None
        self._rows: RowAssembly | None = None

    def add(self, message: stage_pb2.StageEvent) -> Sequence[Event]:
        """The events that this message brings or completes. UsageError leaves the stream unusable."""
        kind = message.WhichOneof("kind")
        if kind == "result":
            result = self._add_result(message.result)
            return () if result is None else (result,)
        if self._header is not None:
            raise UsageError("result: another event while logits are missing; send them first")
        if kind == "timings":
            check_length("timings", message.timings.timings, limits.MAX_INTERVALS)
            return [decode_timing(timing) for timing in message.timings.timings]
        if kind == "failure":
            return (_decode_failure(message.failure),)
        raise UsageError(f"event: {kind} is not expected here; send timings, results or failures")

    def _add_result(self, part: stage_pb2.ResultPart) -> StepResult | None:
        if part.HasField("header"):
            if self._header is not None:
                raise UsageError("result: a header while logits are missing; send them first")
            self._rows = _rows_for(part.header)
            self._header = part.header
        if self._header is None:
            raise UsageError("result: logits without a header; send the header first")
        if self._rows is not None and not self._rows.is_complete:
            self._rows.add(part.logits)
            if not self._rows.is_complete:
                return None
        elif part.logits:
            raise UsageError("logits: rows that the header did not announce; set num_rows")
        result = StepResult(
            decode_step_id(self._header.id),
            _decode_sampled(self._header),
            None if self._rows is None else self._rows.take(),
        )
        self._header = self._rows = None
        return result


def _encode_result(result: StepResult) -> Iterator[stage_pb2.StageEvent]:
    header = stage_pb2.ResultHeader(
        id=encode_step_id(result.id),
        sampled=[_encode_sampled(token) for token in result.sampled],
        has_logits=result.logits is not None,
    )
    parts: Iterator[bytes] = iter(())
    if result.logits is not None:
        header.num_rows, header.vocab_size = result.logits.shape
        parts = split_rows(result.logits)
    yield stage_pb2.StageEvent(result=stage_pb2.ResultPart(header=header, logits=next(parts, b"")))
    for part in parts:
        yield stage_pb2.StageEvent(result=stage_pb2.ResultPart(logits=part))


def _rows_for(header: stage_pb2.ResultHeader) -> RowAssembly | None:
    check_range("result.num_rows", header.num_rows, 0, limits.MAX_ROWS if header.has_logits else 0)
    if not header.has_logits:
        return None
    check_range("result.vocab_size", header.vocab_size, 1, limits.MAX_VOCAB)
    size_bytes = header.num_rows * header.vocab_size * 4
    check_range("result.logits", size_bytes, 0, limits.MAX_LOGITS_BYTES)
    return RowAssembly("logits", header.num_rows, header.vocab_size)


def _encode_sampled(sampled: SampledToken) -> stage_pb2.SampledToken:
    return stage_pb2.SampledToken(
        row=sampled.row,
        slot=sampled.slot,
        token=sampled.token,
        logprob=sampled.logprob,
        top=encode_top(sampled.top),
    )


def _decode_sampled(header: stage_pb2.ResultHeader) -> tuple[SampledToken, ...]:
    check_length("result.sampled", header.sampled, limits.MAX_ROWS)
    return tuple(
        SampledToken(
            row=check_range("sampled.row", sampled.row, 0, limits.MAX_ROWS - 1),
            slot=check_range("sampled.slot", sampled.slot, 0, limits.MAX_SLOTS - 1),
            token=check_range("sampled.token", sampled.token, 0, limits.MAX_VOCAB - 1),
            logprob=sampled.logprob,
            top=decode_top(sampled.top),
        )
        for sampled in header.sampled
    )


def _decode_failure(message: stage_pb2.StageFailure) -> StageFailure:
    check_length("failure.reason", message.reason, limits.MAX_REASON_CHARS)
    return StageFailure(
        check_range("failure.stage", message.stage, 0, limits.MAX_STAGES - 1),
        check_range("failure.epoch", message.epoch, 0, limits.MAX_COUNT),
        message.reason,
    )
