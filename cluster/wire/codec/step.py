"""Microbatch <-> StepHeader, and the hidden rows that follow it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cluster.api.errors import UsageError
from cluster.messages.stage import Hello
from cluster.messages.step import PENDING, Float32Array, Int32Array, Microbatch, SlotSampling, SlotStart, StepId
from cluster.wire import limits
from cluster.wire.codec.failures import decode_failures, encode_failures
from cluster.wire.codec.rows import RowAssembly, row_parts
from cluster.wire.codec.sampling import decode_sampling, encode_sampling
from cluster.wire.limits import check_length, check_range, check_ranges
from protos import stage_pb2

_INT32 = np.dtype("<i4")
_INT_BYTES = 4
_NO_ROWS = np.empty(0, np.int32)


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


def step_id_fields(step_id: StepId) -> dict[str, int]:
    """A StepId to be written into another message: a dict is read where a message would be serialized and parsed."""
    return {"epoch": step_id.epoch, "microbatch": step_id.microbatch, "step": step_id.step}


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


def encode_step(batch: Microbatch, hidden: Float32Array | None) -> Iterator[bytes]:
    """The messages of one step as they travel; `hidden` [T, E] is read while they are taken.

    The fields are joined here, as protobuf would: it would copy the rows into a message and out of it.
    """
    header = encode_header(batch, 0 if hidden is None else hidden.shape[1]).SerializeToString()
    fields = [_before_field(stage_pb2.StepMessage.HEADER_FIELD_NUMBER, len(header)), header]
    for part in () if hidden is None else row_parts(hidden):
        yield b"".join((*fields, _before_field(stage_pb2.StepMessage.HIDDEN_FIELD_NUMBER, part.nbytes), part.data))
        fields = []
    if fields:
        yield b"".join(fields)


def _before_field(number: int, length: int) -> bytes:
    """What protobuf has before a field of less than 2**28 bytes: a tag of wire type 2, the length as a varint of 4."""
    return bytes(
        (number << 3 | 2, length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14 & 0x7F | 0x80, length >> 21)
    )


def encode_header(batch: Microbatch, hidden_width: int) -> stage_pb2.StepHeader:
    header = stage_pb2.StepHeader(
        id=step_id_fields(batch.id),
        num_rows=batch.num_rows,
        tokens=int32_bytes(batch.tokens),
        positions=int32_bytes(batch.positions),
        slots=int32_bytes(batch.slots),
        wants_logits=batch.wants_logits.tobytes(),
        samples=int32_bytes(batch.samples),
        returns_logits=int32_bytes(batch.returns_logits),
        hidden_width=hidden_width,
        exclusive=batch.exclusive,
        follows=batch.after + 1,
        failures=encode_failures(batch.failures),
    )
    for new in batch.new_sampling:
        header.new_sampling.add(slot=new.slot, params=encode_sampling(new.params))
    for start in batch.slot_starts:
        header.slot_starts.add(slot=start.slot, source=start.source, length=start.length)
    return header


def decode_header(message: stage_pb2.StepHeader, stage_limits: StepLimits) -> Microbatch:
    """The microbatch of a header; UsageError names the field that is out of bounds. Its arrays are read-only."""
    num_rows = check_range("num_rows", message.num_rows, 1, limits.MAX_ROWS)
    width = stage_limits.hidden_width
    check_range("hidden_width", message.hidden_width, width, width)
    flags = message.wants_logits
    _check_flags("wants_logits", flags, num_rows)
    step_id = decode_step_id(message.id)
    follows = check_range("follows", message.follows, 0, 0 if width else step_id.step)
    return Microbatch(
        id=step_id,
        tokens=int32_values("tokens", message.tokens, num_rows, limits.MAX_VOCAB - 1, low=PENDING if follows else 0),
        positions=int32_values("positions", message.positions, num_rows, stage_limits.context_length - 1),
        slots=int32_values("slots", message.slots, num_rows, stage_limits.num_slots - 1),
        wants_logits=np.frombuffer(flags, np.bool_),
        samples=_row_numbers("samples", message.samples, flags),
        returns_logits=_row_numbers("returns_logits", message.returns_logits, flags),
        new_sampling=_new_sampling(message.new_sampling, stage_limits),
        slot_starts=_slot_starts(message.slot_starts, stage_limits),
        failures=decode_failures(message.failures, stage_limits.num_slots),
        exclusive=message.exclusive,
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
        kind = message.WhichOneof("kind")
        if kind == "hello":
            raise UsageError("step: a message that is no part of a step; send Hello once, then steps")
        if kind == "header":
            self._add_header(message.header)
        if self._batch is None:
            raise UsageError("step: hidden rows without a header; send the header first")
        hidden = message.hidden
        if self._rows is not None:
            self._rows.add(hidden)
            if not self._rows.is_complete:
                return None
        elif hidden:
            raise UsageError("hidden: rows that the header did not announce; set hidden_width")
        step = self._batch, None if self._rows is None else self._rows.take()
        self._batch = self._rows = None
        return step

    def _add_header(self, header: stage_pb2.StepHeader) -> None:
        if self._batch is not None:
            raise UsageError("step: a header while rows of the step before are missing; send them first")
        batch = decode_header(header, self._limits)
        if self._limits.hidden_width:
            self._rows = RowAssembly("hidden", batch.num_rows, self._limits.hidden_width)
        self._batch = batch


def int32_bytes(values: Int32Array) -> bytes:
    return values.astype(_INT32, copy=False).tobytes()


def int32_values(field: str, data: bytes, count: int, high: int, low: int = 0) -> Int32Array:
    """`count` numbers in [low, high], read-only; UsageError names the first that is not."""
    if len(data) != _INT_BYTES * count:
        raise UsageError(f"{field}: {len(data)} bytes; {count} int32 take {_INT_BYTES * count}")
    values = np.frombuffer(data, _INT32)
    # As a list: while the caches are full of weights, an array's reduction costs more for a few rows than all else.
    check_ranges(field, values.tolist(), low, high)
    return values


def _check_flags(field: str, data: bytes, count: int) -> None:
    if len(data) != count or data.strip(b"\0\1"):
        raise UsageError(f"{field}: {len(data)} bytes; it must be {count} bytes of 0 or 1")


def _row_numbers(field: str, data: bytes, wants_logits: bytes) -> Int32Array:
    num_rows = len(wants_logits)
    if not data:
        return _NO_ROWS
    check_length(field, data, _INT_BYTES * num_rows)
    values = int32_values(field, data, len(data) // _INT_BYTES, num_rows - 1)
    rows = values.tolist()
    if not all(map(wants_logits.__getitem__, rows)):
        raise UsageError(f"{field}: a row that is not in wants_logits; flag it there too")
    if len(set(rows)) != len(rows):
        raise UsageError(f"{field}: a row is named twice; name it once")
    return values


def _new_sampling(messages: Sequence[stage_pb2.SlotSampling], stage_limits: StepLimits) -> tuple[SlotSampling, ...]:
    if not messages:
        return ()
    check_length("new_sampling", messages, stage_limits.num_slots)
    return tuple(
        SlotSampling(
            check_range("new_sampling.slot", new.slot, 0, stage_limits.num_slots - 1),
            decode_sampling(new.params),
        )
        for new in messages
    )


def _slot_starts(messages: Sequence[stage_pb2.SlotStart], stage_limits: StepLimits) -> tuple[SlotStart, ...]:
    if not messages:
        return ()
    check_length("slot_starts", messages, stage_limits.num_slots)
    return tuple(
        SlotStart(
            check_range("slot_starts.slot", start.slot, 0, stage_limits.num_slots - 1),
            check_range("slot_starts.source", start.source, 0, stage_limits.num_slots - 1),
            check_range("slot_starts.length", start.length, 0, stage_limits.context_length),
        )
        for start in messages
    )
