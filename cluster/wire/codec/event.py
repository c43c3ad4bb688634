"""What a stage tells the coordinator <-> StageEvent: timings, results with their logits, failures."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any

import numpy as np

from cluster.api.errors import UsageError
from cluster.messages.stage import StageFailure
from cluster.messages.step import SampledToken, StepResult, StepTiming
from cluster.wire import limits
from cluster.wire.codec.failures import decode_failures, encode_failures
from cluster.wire.codec.rows import RowAssembly, split_rows
from cluster.wire.codec.sampling import decode_top, encode_top
from cluster.wire.codec.step import decode_step_id, step_id_fields
from cluster.wire.limits import check_length, check_range, check_ranges
from protos import sampling_pb2, stage_pb2

UrgentEvent = StepResult | StageFailure
Event = StepTiming | UrgentEvent

_INT32 = np.dtype("<i4")
_FLOAT64 = np.dtype("<f8")


def encode_event(event: UrgentEvent) -> Iterator[stage_pb2.StageEvent]:
    """The messages of one event: one, but for a result with many logits."""
    if isinstance(event, StageFailure):
        reason = event.reason[: limits.MAX_REASON_CHARS].encode("utf-8", "replace").decode()
        failure = stage_pb2.StageFailure(stage=event.stage, epoch=event.epoch, reason=reason)
        yield stage_pb2.StageEvent(failure=failure)
    else:
        yield from _encode_result(event)


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
            _decode_sampled(self._header.sampled),
            None if self._rows is None else self._rows.take(),
            decode_failures(self._header.failures, limits.MAX_SLOTS),
        )
        self._header = self._rows = None
        return result


def _encode_result(result: StepResult) -> Iterator[stage_pb2.StageEvent]:
    # Dicts are read where messages would be serialized and parsed, one in the other.
    header: dict[str, Any] = {"id": step_id_fields(result.id), "has_logits": result.logits is not None}
    if result.failures:
        header["failures"] = encode_failures(result.failures)
    if result.sampled:
        header["sampled"] = _sampled_fields(result.sampled)
    parts: Iterator[bytes] = iter(())
    if result.logits is not None:
        header["num_rows"], header["vocab_size"] = result.logits.shape
        parts = split_rows(result.logits)
    yield stage_pb2.StageEvent(result={"header": header, "logits": next(parts, b"")})
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


def _sampled_fields(sampled: tuple[SampledToken, ...]) -> dict[str, Any]:
    num_sampled = len(sampled)
    numbers = [token.row for token in sampled] + [token.slot for token in sampled] + [token.token for token in sampled]
    fields: dict[str, Any] = {
        "sampled": struct.pack(f"<{3 * num_sampled}i", *numbers),
        "logprobs": struct.pack(f"<{num_sampled}d", *[token.logprob for token in sampled]),
    }
    tops = [token.top for token in sampled]
    if any(tops):
        fields["tops"] = [encode_top(top) or sampling_pb2.TopLogprobs() for top in tops]
    return fields


def _decode_sampled(message: stage_pb2.SampledTokens) -> tuple[SampledToken, ...]:
    tokens_bytes, logprobs, tops = message.sampled, message.logprobs, message.tops
    num_sampled, rest = divmod(len(logprobs), 8)
    check_length("result.sampled", range(num_sampled), limits.MAX_ROWS)
    if rest or len(tokens_bytes) != 12 * num_sampled or (tops and len(tops) != num_sampled):
        raise UsageError(
            f"result.sampled: {len(tokens_bytes)} bytes of tokens, {len(logprobs)} of logprobs and {len(tops)} tops; "
            "each token takes 12, 8 and 1, or no tops at all"
        )
    if not num_sampled:
        return ()
    rows, slots, tokens = np.frombuffer(tokens_bytes, _INT32).reshape(3, num_sampled).tolist()
    check_ranges("sampled.row", rows, 0, limits.MAX_ROWS - 1)
    check_ranges("sampled.slot", slots, 0, limits.MAX_SLOTS - 1)
    check_ranges("sampled.token", tokens, 0, limits.MAX_VOCAB - 1)
    numbers = np.frombuffer(logprobs, _FLOAT64).tolist()
    return tuple(map(SampledToken, rows, slots, tokens, numbers, map(decode_top, tops) if tops else repeat(())))


def _decode_failure(message: stage_pb2.StageFailure) -> StageFailure:
    check_length("failure.reason", message.reason, limits.MAX_REASON_CHARS)
    return StageFailure(
        check_range("failure.stage", message.stage, 0, limits.MAX_STAGES - 1),
        check_range("failure.epoch", message.epoch, 0, limits.MAX_COUNT),
        message.reason,
    )
