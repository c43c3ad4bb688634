"""DrawnStep <-> its message."""

from __future__ import annotations

from cluster.api.errors import UsageError
from cluster.messages.step import DrawnStep
from cluster.wire import limits
from cluster.wire.codec.step import decode_step_id, int32_bytes, int32_values, step_id_fields
from protos import stage_pb2


def encode_drawn(drawn: DrawnStep) -> stage_pb2.DrawnStep:
    return stage_pb2.DrawnStep(
        id=step_id_fields(drawn.id), slots=int32_bytes(drawn.slots), tokens=int32_bytes(drawn.tokens)
    )


def decode_drawn(message: stage_pb2.DrawnStep, num_slots: int) -> DrawnStep:
    """UsageError names the field that is out of bounds."""
    if not message.HasField("id"):
        raise UsageError("drawn: a message without a step; send Hello once, then steps")
    count = len(message.slots) // 4
    return DrawnStep(
        id=decode_step_id(message.id),
        slots=int32_values("drawn.slots", message.slots, count, num_slots - 1),
        tokens=int32_values("drawn.tokens", message.tokens, count, limits.MAX_VOCAB - 1),
    )
