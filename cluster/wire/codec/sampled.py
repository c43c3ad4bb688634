"""SampledStep <-> its message."""

from __future__ import annotations

from cluster.api.errors import UsageError
from cluster.messages.step import SampledStep
from cluster.wire import limits
from cluster.wire.codec.packing import int32_bytes, int32_values
from cluster.wire.codec.step_id import decode_step_id, step_id_fields
from protos import stage_pb2


def encode_sampled_step(sampled: SampledStep) -> stage_pb2.SampledStep:
    return stage_pb2.SampledStep(
        id=step_id_fields(sampled.id), slots=int32_bytes(sampled.slots), tokens=int32_bytes(sampled.tokens)
    )


def decode_sampled_step(message: stage_pb2.SampledStep, num_slots: int) -> SampledStep:
    """UsageError names the field that is out of bounds."""
    if not message.HasField("id"):
        raise UsageError("sampled: a message without a step; send Hello once, then steps")
    count = len(message.slots) // 4
    return SampledStep(
        id=decode_step_id(message.id),
        slots=int32_values("sampled.slots", message.slots, count, num_slots - 1),
        tokens=int32_values("sampled.tokens", message.tokens, count, limits.MAX_VOCAB - 1),
    )
