"""Microbatch <-> StepHeader, and the hidden rows that follow it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cluster.errors import UsageError
from cluster.messages import (
    DRAWN,
    BoolArray,
    Float32Array,
    Hello,
    Int32Array,
    Microbatch,
    SlotSampling,
    SlotStart,
    StepId,
)
from cluster.wire import limits
from cluster.wire.codec_rows import RowAssembly, split_rows
from cluster.wire.codec_sampling import decode_sampling, encode_sampling
from cluster.wire.limits import check_length, check_range
from protos import stage_pb2


@dataclass(frozen=True, slots=True)
class StepLimits:
    """What the steps of one stream may hold, as agreed in its Hello."""

    num_slots: int
    context_length: int
    hidden_width: int  # 0 for the first stage, which is given token ids

    @classmethod
    def of(cls, hello: Hello) -> StepLimits:
        width = hello.hidden_width if hello.stage > 0 else 0
        return cls(hello.num_slots, hello.context_length, width)


def encode_step_id(step_id: StepId) -> stage_pb2.StepId:
    return stage_pb2.StepId(epoch=step_id.epoch, microbatch=step_id.microbatch, step=step_id.step)


def decode_step_id(message: stage_pb2.StepId) -> StepId:
    return StepId(
        check_range("id.epoch", message.epoch, 0, limits.MAX_COUNT),
        check_range("id.microbatch", message.microbatch, 0, limits.MAX_MICROBATCHES - 1),
        check_range("id.step", message.step, 0, limits.MAX_COUNT),
    )


def check_hidden(batch: Microbatch, hidden: Float32Array | None, stage_limits: StepLimits) -> None:
    """UsageError unless `hidden` is float32 [T, E], or None where no rows travel."""
    width = stage_limits.hidden_width
    wanted = (batch.num_rows, width) if width else None
    shape = None if hidden is None else hidden.shape
    if shape != wanted:
        raise UsageError(f"hidden: shape {shape}; this stage takes {wanted}")
    if hidden is not None and hidden.dtype != np.float32:
        raise UsageError(f"hidden: {hidden.dtype} rows; this stage takes float32")


def encode_step(batch: Microbatch, hidden: Float32Array | None) -> Iterator[stage_pb2.StepMessage]:
    """The messages of one step; `hidden` [T, E] is read while they are drawn."""
    parts = iter(()) if hidden is None else split_rows(hidden)
    header = encode_header(batch, 0 if hidden is None else hidden.shape[1])
    yield stage_pb2.StepMessage(part=stage_pb2.StepPart(header=header, hidden=next(parts, b"")))
    for part in parts:
        yield stage_pb2.StepMessage(part=stage_pb2.StepPart(hidden=part))


def encode_header(batch: Microbatch, hidden_width: int) -> stage_pb2.StepHeader:
    return stage_pb2.StepHeader(
        id=encode_step_id(batch.id),
        num_rows=batch.num_rows,
        tokens=int32_bytes(batch.tokens),
        positions=int32_bytes(batch.positions),
        slots=int32_bytes(batch.slots),
        wants_logits=batch.wants_logits.astype(np.uint8).tobytes(),
        samples=int32_bytes(batch.samples),
        returns_logits=int32_bytes(batch.returns_logits),
        new_sampling=[
            stage_pb2.SlotSampling(slot=new.slot, params=encode_sampling(new.params)) for new in batch.new_sampling
        ],
        slot_starts=[
            stage_pb2.SlotStart(slot=start.slot, source=start.source, length=start.length)
            for start in batch.slot_starts
        ],
        hidden_width=hidden_width,
        alone=batch.alone,
        follows=batch.after + 1,
    )


def decode_header(message: stage_pb2.StepHeader, stage_limits: StepLimits) -> Microbatch:
    """The microbatch of a header; UsageError names the field that is out of bounds."""
    num_rows = check_range("num_rows", message.num_rows, 1, limits.MAX_ROWS)
    width = stage_limits.hidden_width
    check_range("hidden_width", message.hidden_width, width, width)
    wants_logits = _flags("wants_logits", message.wants_logits, num_rows)
    step_id = decode_step_id(message.id)
    follows = check_range("follows", message.follows, 0, 0 if width else step_id.step)
    lowest_token = DRAWN if follows else 0
    return Microbatch(
        id=step_id,
        tokens=int32_values("tokens", message.tokens, num_rows, limits.MAX_VOCAB - 1, lowest_token),
        positions=int32_values("positions", message.positions, num_rows, stage_limits.context_length - 1),
        slots=int32_values("slots", message.slots, num_rows, stage_limits.num_slots - 1),
        wants_logits=wants_logits,
        samples=_row_numbers("samples", message.samples, wants_logits),
        returns_logits=_row_numbers("returns_logits", message.returns_logits, wants_logits),
        new_sampling=_new_sampling(message, stage_limits),
        slot_starts=_slot_starts(message, stage_limits),
        alone=message.alone,
        after=follows - 1,
    )


class StepAssembly:
    """Puts the parts of a stream's steps together, one step after the other."""

    def __init__(self, stage_limits: StepLimits) -> None:
        self._limits = stage_limits
        self._batch: Microbatch | None = None
        self._rows: RowAssembly | None = None

    def add(self, message: stage_pb2.StepMessage) -> tuple[Microbatch, Float32Array | None] | None:
        """The step that this message completes, if it does. UsageError leaves the stream unusable."""
        if message.WhichOneof("kind") != "part":
            raise UsageError("step: a message that is no part of a step; send Hello once, then steps")
        self._add_header(message.part)
        if self._batch is None:
            raise UsageError("step: hidden rows without a header; send the header first")
        if self._rows is not None:
            self._rows.add(message.part.hidden)
            if not self._rows.is_complete:
                return None
        elif message.part.hidden:
            raise UsageError("hidden: rows that the header did not announce; set hidden_width")
        step = self._batch, None if self._rows is None else self._rows.take()
        self._batch = self._rows = None
        return step

    def _add_header(self, part: stage_pb2.StepPart) -> None:
        if not part.HasField("header"):
            return
        if self._batch is not None:
            raise UsageError("step: a header while rows of the step before are missing; send them first")
        batch = decode_header(part.header, self._limits)
        if part.header.hidden_width:
            self._rows = RowAssembly("hidden", batch.num_rows, part.header.hidden_width)
        self._batch = batch


def int32_bytes(values: Int32Array) -> bytes:
    return values.astype("<i4", copy=False).tobytes()


def int32_values(field: str, data: bytes, count: int, high: int, low: int = 0) -> Int32Array:
    """`count` numbers in [low, high]; UsageError names the first that is not."""
    if len(data) != 4 * count:
        raise UsageError(f"{field}: {len(data)} bytes; {count} int32 take {4 * count}")
    values = np.frombuffer(data, "<i4").astype(np.int32)
    # As unsigned numbers those below are the largest: one pass over each array, on every step's path.
    if count and int((values - np.int32(low)).view(np.uint32).max()) > high - low:
        wrong = values[(values < low) | (values > high)]
        check_range(field, int(wrong[0]), low, high)
    return values


def _flags(field: str, data: bytes, count: int) -> BoolArray:
    if len(data) != count or (count and max(data) > 1):
        raise UsageError(f"{field}: {len(data)} bytes; it must be {count} bytes of 0 or 1")
    return np.frombuffer(data, np.uint8).astype(np.bool_)


def _row_numbers(field: str, data: bytes, wants_logits: BoolArray) -> Int32Array:
    num_rows = len(wants_logits)
    if not data:
        return np.empty(0, np.int32)
    check_length(field, data, 4 * num_rows)
    rows = int32_values(field, data, len(data) // 4, num_rows - 1)
    if not wants_logits[rows].all():
        raise UsageError(f"{field}: a row that is not in wants_logits; flag it there too")
    if len(set(rows.tolist())) != len(rows):
        raise UsageError(f"{field}: a row is named twice; name it once")
    return rows


def _new_sampling(message: stage_pb2.StepHeader, stage_limits: StepLimits) -> tuple[SlotSampling, ...]:
    check_length("new_sampling", message.new_sampling, stage_limits.num_slots)
    return tuple(
        SlotSampling(
            check_range("new_sampling.slot", new.slot, 0, stage_limits.num_slots - 1),
            decode_sampling(new.params),
        )
        for new in message.new_sampling
    )


def _slot_starts(message: stage_pb2.StepHeader, stage_limits: StepLimits) -> tuple[SlotStart, ...]:
    check_length("slot_starts", message.slot_starts, stage_limits.num_slots)
    return tuple(
        SlotStart(
            check_range("slot_starts.slot", start.slot, 0, stage_limits.num_slots - 1),
            check_range("slot_starts.source", start.source, 0, stage_limits.num_slots - 1),
            check_range("slot_starts.length", start.length, 0, stage_limits.context_length),
        )
        for start in message.slot_starts
    )
