"""What a stage is asked when its streams are opened anew <-> WireRequest."""

from __future__ import annotations

from dataclasses import fields

from cluster.api.errors import UsageError
from cluster.messages.stage import Callers, StageAddress, Wiring
from cluster.wire.codec.hello import decode_hello
from cluster.wire.codec.record import fields_of, record_of
from cluster.wire.limits import MAX_NAME_CHARS, check_name
from cluster.wire.transport.channel import check_address
from protos import stage_pb2

_NAMES = {f"wiring.callers.{field.name}": (0, MAX_NAME_CHARS) for field in fields(Callers)}


def encode_wiring(wiring: Wiring) -> stage_pb2.WireRequest:
    return stage_pb2.WireRequest(**fields_of(wiring))


def decode_wiring(message: stage_pb2.WireRequest) -> Wiring:
    """UsageError names the field that is out of bounds."""
    if not message.HasField("hello"):
        raise UsageError("wiring: it has no hello; say for which stage and epoch it is")
    return Wiring(
        decode_hello(message.hello),
        _decode(message.downstream) if message.HasField("downstream") else None,
        _decode(message.last) if message.HasField("last") else None,
        record_of(Callers, message.callers, "wiring.callers", _NAMES),
    )


def _decode(message: stage_pb2.StageAddress) -> StageAddress:
    check_address(check_name("wiring.address", message.address))
    return StageAddress(message.address, decode_hello(message.hello), check_name("wiring.node", message.node))
