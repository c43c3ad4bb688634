"""A step as the messages that travel: its header, and the hidden rows behind it."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.messages.program import AnyStep, ProgramStep
from cluster.messages.step import Float32Array, Microbatch
from cluster.wire.codec.program import program_parts
from cluster.wire.codec.rows import row_parts
from cluster.wire.codec.step.header import encode_header
from protos import stage_pb2


def encode_step(step: AnyStep, hidden: Float32Array | None) -> Iterator[bytes]:
    """The messages of one step as they travel; arrays are read while they are taken."""
    if isinstance(step, ProgramStep):
        return (stage_pb2.StepMessage(program=part).SerializeToString() for part in program_parts(step))
    return _encode_microbatch(step, hidden)


def _encode_microbatch(batch: Microbatch, hidden: Float32Array | None) -> Iterator[bytes]:
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
