"""The adapters of a cluster, and what their scales are to be <-> messages."""

from __future__ import annotations

from cluster.api.lists import MAX_ADAPTERS, Scales
from cluster.api.model import AdapterInfo
from cluster.wire.codec.record import fields_of, record_of
from cluster.wire.codec.sampling import decode_scales, encode_scales
from cluster.wire.limits import check_length
from protos import inference_pb2


def encode_adapters_request(scales: Scales | None) -> inference_pb2.AdaptersRequest:
    return inference_pb2.AdaptersRequest(scales=None if scales is None else encode_scales(scales))


def decode_adapters_request(message: inference_pb2.AdaptersRequest) -> Scales | None:
    """UsageError as for `decode_scales`."""
    return decode_scales("lora", message.scales) if message.HasField("scales") else None


def encode_adapters(adapters: tuple[AdapterInfo, ...]) -> inference_pb2.AdaptersReply:
    return inference_pb2.AdaptersReply(adapters=[fields_of(adapter) for adapter in adapters])


def decode_adapters(message: inference_pb2.AdaptersReply) -> tuple[AdapterInfo, ...]:
    check_length("adapters", message.adapters, MAX_ADAPTERS)
    return tuple(record_of(AdapterInfo, adapter, "adapters") for adapter in message.adapters)
