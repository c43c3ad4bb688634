"""What stages and a cluster say of themselves <-> StageFacts, Holdings, StatusReply, SlotsReply."""

from __future__ import annotations

from cluster.api.errors import HandshakeError
from cluster.api.status import ClusterStatus, SlotStatus, StageFacts
from cluster.messages.stage import PROTOCOL_VERSION, Holdings
from cluster.wire import limits
from cluster.wire.codec.record import fields_of, record_of
from cluster.wire.limits import check_length
from protos import inference_pb2, stage_pb2

_STATUS_BOUNDS = {"status.stages": (0, limits.MAX_STAGES)}


def encode_facts(facts: StageFacts) -> stage_pb2.StageFacts:
    return stage_pb2.StageFacts(**fields_of(facts))


def decode_facts(message: stage_pb2.StageFacts) -> StageFacts:
    return record_of(StageFacts, message, "facts")


def encode_holdings(holdings: Holdings) -> stage_pb2.Holdings:
    return stage_pb2.Holdings(**fields_of(holdings))


def decode_holdings(message: stage_pb2.Holdings) -> Holdings:
    return record_of(Holdings, message, "holdings")


def encode_status(status: ClusterStatus) -> inference_pb2.StatusReply:
    return inference_pb2.StatusReply(**fields_of(status), protocol_version=PROTOCOL_VERSION)


def decode_status(message: inference_pb2.StatusReply) -> ClusterStatus:
    """HandshakeError if the cluster speaks another version of the protocol."""
    if message.protocol_version != PROTOCOL_VERSION:
        raise HandshakeError(
            f"protocol_version: the cluster has {message.protocol_version}, this client {PROTOCOL_VERSION}; "
            "install the same version of ggml-cluster on both ends"
        )
    return record_of(ClusterStatus, message, "status", _STATUS_BOUNDS)


def encode_slots(slots: tuple[SlotStatus, ...]) -> inference_pb2.SlotsReply:
    return inference_pb2.SlotsReply(slots=[fields_of(slot) for slot in slots])


def decode_slots(message: inference_pb2.SlotsReply) -> tuple[SlotStatus, ...]:
    check_length("slots", message.slots, limits.MAX_SLOTS)
    return tuple(record_of(SlotStatus, slot, "slots") for slot in message.slots)
