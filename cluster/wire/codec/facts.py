"""StageFacts and ClusterStatus <-> protobuf: flat records whose fields have the same names on both sides."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

from google.protobuf.message import Message

from cluster.api.errors import HandshakeError, UsageError
from cluster.api.status import ClusterStatus, StageFacts, StageStatus
from cluster.messages.stage import PROTOCOL_VERSION
from cluster.wire import limits
from cluster.wire.limits import check_length, check_range
from protos import inference_pb2, stage_pb2

_FACTS = tuple(field.name for field in fields(StageFacts))
_STAGE = tuple(field.name for field in fields(StageStatus))
_CLUSTER = tuple(field.name for field in fields(ClusterStatus) if field.name != "stages")


def encode_facts(facts: StageFacts) -> stage_pb2.StageFacts:
    return stage_pb2.StageFacts(**{name: getattr(facts, name) for name in _FACTS})


def decode_facts(message: stage_pb2.StageFacts) -> StageFacts:
    return StageFacts(**_checked(message, _FACTS))


def encode_status(status: ClusterStatus) -> inference_pb2.StatusReply:
    return inference_pb2.StatusReply(
        **{name: getattr(status, name) for name in _CLUSTER},
        protocol_version=PROTOCOL_VERSION,
        stages=[
            inference_pb2.StageStatus(**{name: getattr(stage, name) for name in _STAGE}) for stage in status.stages
        ],
    )


def decode_status(message: inference_pb2.StatusReply) -> ClusterStatus:
    """HandshakeError if the cluster speaks another version of the protocol."""
    if message.protocol_version != PROTOCOL_VERSION:
        raise HandshakeError(
            f"protocol_version: the cluster has {message.protocol_version}, this client {PROTOCOL_VERSION}; "
            "install the same version of ggml-cluster on both ends"
        )
    check_length("stages", message.stages, limits.MAX_STAGES)
    stages = tuple(StageStatus(**_checked(stage, _STAGE)) for stage in message.stages)
    return ClusterStatus(**_checked(message, _CLUSTER), stages=stages)


def _checked(message: Message, names: tuple[str, ...]) -> dict[str, Any]:
    values = {name: getattr(message, name) for name in names}
    for name, value in values.items():
        if isinstance(value, str):
            check_length(name, value, limits.MAX_REASON_CHARS)
        elif isinstance(value, int):
            check_range(name, value, 0, limits.MAX_COUNT)
        elif not math.isfinite(value):
            raise UsageError(f"{name}: {value} is not finite; it must be a number")
    return values
