"""Microbatch <-> StepHeader, within what the stream's Hello agreed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cluster.api.errors import UsageError
from cluster.api.lists import LARGEST_SCALE, MAX_ADAPTERS
from cluster.messages.program import AnyStep, ProgramStep
from cluster.messages.stage import ARRAYS, Hello
from cluster.messages.step import NO_ROWS, Float32Array, Int32Array, Microbatch, SlotPicture, SlotSampling, SlotStart
from cluster.wire import limits
from cluster.wire.codec.failures import decode_failures, encode_failures
from cluster.wire.codec.packing import int32_bytes, int32_values, row_numbers
from cluster.wire.codec.sampling import decode_sampling, encode_sampling
from cluster.wire.codec.step_id import decode_step_id, step_id_fields
from cluster.wire.limits import check_length, check_range
from protos import stage_pb2


@dataclass(frozen=True, slots=True)
class StepLimits:
    """What the steps of one stream may hold, as agreed in its Hello."""

    num_slots: int
    context_length: int
    hidden_width: int  # 0 for the first stage, which is given token ids
    stage: int
    num_stages: int
    runs_program: bool = False  # steps are calls, with named arrays
    picture_width: int = 0  # of the rows of pictures, which the first stage is given, too

    @classmethod
    def of(cls, hello: Hello) -> StepLimits:
        width = hello.hidden_width if hello.stage > 0 else 0
        place = hello.stage, hello.num_stages
        picture_width = hello.picture_width or hello.hidden_width
        return cls(hello.num_slots, hello.context_length, width, *place, hello.wire_dtype == ARRAYS, picture_width)

    def width_of(self, restores: Sequence[int], *, is_pictured: bool) -> int:
        """Of the rows that a step brings: none to a stage that leaves it to others."""
        if restores and self.stage not in restores:
            return 0
        return self.picture_width if is_pictured else self.hidden_width


def check_sent(step: AnyStep, hidden: Float32Array | None, stage_limits: StepLimits) -> None:
    """UsageError unless the stage takes such steps; `hidden` is float32 [T, E], or None where no rows travel."""
    if isinstance(step, ProgramStep) != stage_limits.runs_program:
        raise UsageError("step: of another kind than the stage takes; start both from the same model")
    if not isinstance(step, ProgramStep):
        _check_hidden(step, hidden, stage_limits)


def _check_hidden(batch: Microbatch, hidden: Float32Array | None, stage_limits: StepLimits) -> None:
    width = stage_limits.width_of(batch.restores, is_pictured=batch.is_pictured)
    wanted = (batch.num_rows, width) if width else None
    shape = None if hidden is None else hidden.shape
    if shape != wanted:
        raise UsageError(f"hidden: shape {shape}; this stage takes {wanted}")
    if hidden is not None and hidden.dtype != np.float32:
        raise UsageError(f"hidden: {hidden.dtype} rows; this stage takes float32")


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
        failures=encode_failures(batch.failures),
    )
    if batch.after is not None:
        header.after = batch.after
    if batch.embeds:
        header.embeds = True
        header.pools = int32_bytes(batch.pools)
    if len(batch.scores):
        header.scores, header.targets = int32_bytes(batch.scores), int32_bytes(batch.targets)
    if batch.scales:
        header.scales.extend(batch.scales)
    if batch.restores:
        header.restores.extend(batch.restores)
    if batch.is_pictured:
        header.is_pictured = True
        header.non_causal = batch.non_causal
    for picture in batch.pictures:
        header.pictures.add(slot=picture.slot, first=picture.first, width=picture.width, height=picture.height)
    if batch.is_guessed:
        header.is_guessed = True
    if len(batch.pending):
        header.pending = int32_bytes(batch.pending)
    for new in batch.new_sampling:
        header.new_sampling.add(
            slot=new.slot, params=encode_sampling(new.params), num_prompt_tokens=new.num_prompt_tokens
        )
    for start in batch.slot_starts:
        header.slot_starts.add(slot=start.slot, source=start.source, length=start.length)
    return header


def decode_header(message: stage_pb2.StepHeader, stage_limits: StepLimits) -> Microbatch:
    """The microbatch of a header; UsageError names the field that is out of bounds. Its arrays are read-only."""
    num_rows = check_range("num_rows", message.num_rows, 1, limits.MAX_ROWS)
    restores = _restores(message, stage_limits.num_stages)
    width = stage_limits.width_of(restores, is_pictured=message.is_pictured)
    check_range("hidden_width", message.hidden_width, width, width)
    flags = message.wants_logits
    _check_flags("wants_logits", flags, num_rows)
    step_id = decode_step_id(message.id)
    scores = _logits_rows("scores", message.scores, flags)
    after, pending = _awaited(message, step_id.step, num_rows, is_first=stage_limits.stage == 0)
    slots = int32_values("slots", message.slots, num_rows, stage_limits.num_slots - 1)
    return Microbatch(
        id=step_id,
        tokens=int32_values("tokens", message.tokens, num_rows, limits.MAX_VOCAB - 1),
        positions=int32_values("positions", message.positions, num_rows, stage_limits.context_length - 1),
        slots=slots,
        wants_logits=np.frombuffer(flags, np.bool_),
        samples=_logits_rows("samples", message.samples, flags),
        returns_logits=_logits_rows("returns_logits", message.returns_logits, flags),
        new_sampling=_new_sampling(message.new_sampling, stage_limits),
        slot_starts=_slot_starts(message.slot_starts, stage_limits),
        failures=decode_failures(message.failures, stage_limits.num_slots),
        exclusive=message.exclusive,
        after=after,
        pending=pending,
        scores=scores,
        targets=int32_values("targets", message.targets, len(scores), limits.MAX_VOCAB - 1),
        embeds=message.embeds,
        pools=_pooled_rows(message, num_rows),
        scales=_scales(message.scales),
        restores=restores,
        is_pictured=_is_pictured(message),
        pictures=_pictures(message, stage_limits),
        is_guessed=_is_guessed(message),
        non_causal=_non_causal(message, slots),
    )


def _is_pictured(message: stage_pb2.StepHeader) -> bool:
    if message.is_pictured and (message.pending or message.scores or message.embeds):
        raise UsageError("is_pictured: rows of pictures have no tokens, scores or vectors; send those apart")
    return message.is_pictured


def _non_causal(message: stage_pb2.StepHeader, slots: Int32Array) -> bool:
    if message.non_causal and (not message.is_pictured or (slots != slots[0]).any()):
        raise UsageError("non_causal: rows that see each other are those of one picture; send others apart")
    return message.non_causal


def _pictures(message: stage_pb2.StepHeader, stage_limits: StepLimits) -> tuple[SlotPicture, ...]:
    if not message.pictures:
        return ()
    if not message.is_pictured:
        raise UsageError("pictures: of a step whose rows are those of tokens; set is_pictured")
    check_length("pictures", message.pictures, stage_limits.num_slots)
    most = stage_limits.context_length
    return tuple(
        SlotPicture(
            check_range("pictures.slot", one.slot, 0, stage_limits.num_slots - 1),
            check_range("pictures.first", one.first, 0, most - 1),
            check_range("pictures.width", one.width, 1, most),
            check_range("pictures.height", one.height, 1, most // max(1, one.width)),
        )
        for one in message.pictures
    )


def _is_guessed(message: stage_pb2.StepHeader) -> bool:
    if message.is_guessed and (message.pending or message.scores or message.embeds or message.is_pictured):
        raise UsageError("is_guessed: rows that are guesses are sampled from, and nothing else; send the others apart")
    return message.is_guessed


def _restores(message: stage_pb2.StepHeader, num_stages: int) -> tuple[int, ...]:
    if not message.restores:
        return ()
    check_length("restores", message.restores, num_stages)
    stages = [check_range("restores.stage", stage, 0, num_stages - 1) for stage in message.restores]
    if stages != sorted(set(stages)):
        raise UsageError(f"restores: stages {stages}; each at most once, in ascending order")
    if message.samples or message.returns_logits or message.scores or message.embeds or message.pending:
        raise UsageError("restores: something is asked of a step that only restores rows; leave that to the next one")
    return tuple(stages)


def _awaited(
    message: stage_pb2.StepHeader, step: int, num_rows: int, *, is_first: bool
) -> tuple[int | None, Int32Array]:
    """The step that this one begins after, if there is one, and the rows that wait for its tokens."""
    pending = message.pending
    if not message.HasField("after"):
        if pending:
            raise UsageError("pending: rows without a step that they wait for; set after")
        return None, NO_ROWS
    if not is_first:
        raise UsageError("after: only the first stage waits for tokens; leave it out")
    return check_range("after", message.after, 0, step - 1), row_numbers("pending", pending, num_rows)


def _check_flags(field: str, data: bytes, count: int) -> None:
    if len(data) != count or data.strip(b"\0\1"):
        raise UsageError(f"{field}: {len(data)} bytes; it must be {count} bytes of 0 or 1")


def _logits_rows(field: str, data: bytes, wants_logits: bytes) -> Int32Array:
    values = row_numbers(field, data, len(wants_logits))
    if not all(map(wants_logits.__getitem__, values.tolist())):
        raise UsageError(f"{field}: a row that is not in wants_logits; flag it there too")
    return values


def _pooled_rows(message: stage_pb2.StepHeader, num_rows: int) -> Int32Array:
    if not message.embeds:
        if message.pools:
            raise UsageError("pools: rows of a step that does not embed; set embeds")
        return NO_ROWS
    if message.samples or message.returns_logits or message.scores:
        raise UsageError("embeds: logits of the step's rows are asked for, too; send those apart")
    return row_numbers("pools", message.pools, num_rows)


def _scales(values: Sequence[float]) -> tuple[float, ...]:
    """How many there must be, the stage knows that has the adapters."""
    if not values:
        return ()
    check_length("scales", values, MAX_ADAPTERS)
    if not all(abs(value) <= LARGEST_SCALE for value in values):  # so is NaN
        raise UsageError(f"scales: one is no number from {-LARGEST_SCALE:g} to {LARGEST_SCALE:g}")
    return tuple(values)


def _new_sampling(messages: Sequence[stage_pb2.SlotSampling], stage_limits: StepLimits) -> tuple[SlotSampling, ...]:
    if not messages:
        return ()
    check_length("new_sampling", messages, stage_limits.num_slots)
    return tuple(
        SlotSampling(
            check_range("new_sampling.slot", new.slot, 0, stage_limits.num_slots - 1),
            decode_sampling(new.params),
            check_range("new_sampling.num_prompt_tokens", new.num_prompt_tokens, 0, stage_limits.context_length),
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
