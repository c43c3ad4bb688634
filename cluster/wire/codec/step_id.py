"""StepId <-> its message."""

from __future__ import annotations

from cluster.messages.step import StepId
from cluster.wire import limits
from cluster.wire.limits import check_range
from protos import stage_pb2


def step_id_fields(step_id: StepId) -> dict[str, int]:
    """A StepId to be written into another message: a dict is read where a message would be serialized and parsed."""
    return {"epoch": step_id.epoch, "microbatch": step_id.microbatch, "step": step_id.step}


def decode_step_id(message: stage_pb2.StepId) -> StepId:
    return StepId(
        check_range("id.epoch", message.epoch, 0, limits.MAX_COUNT),
        check_range("id.microbatch", message.microbatch, 0, limits.MAX_MICROBATCHES - 1),
        check_range("id.step", message.step, 0, limits.MAX_COUNT),
    )
