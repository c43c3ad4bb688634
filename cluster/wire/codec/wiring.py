"""What a stage is asked when its streams are opened anew <-> WireRequest."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.api.errors import UsageError
from cluster.messages.stage import Hello
from cluster.wire.codec.hello import decode_hello, encode_hello
from cluster.wire.limits import check_name
from cluster.wire.transport.channel import check_address
from protos import stage_pb2

StageAddress = tuple[str, Hello]  # where a stage listens, and what to say there


@dataclass(frozen=True, slots=True)
class Wiring:
    """An epoch for one stage. Set by whoever wires the stages."""

    hello: Hello  # of the stage itself
    downstream: StageAddress | None  # the next stage; None for the last one
    last: StageAddress | None  # the last stage, for the first one if that is another


def encode_wiring(wiring: Wiring) -> stage_pb2.WireRequest:
    return stage_pb2.WireRequest(
        hello=encode_hello(wiring.hello), downstream=_encode(wiring.downstream), last=_encode(wiring.last)
    )


def decode_wiring(message: stage_pb2.WireRequest) -> Wiring:
    """UsageError names the field that is out of bounds."""
    if not message.HasField("hello"):
        raise UsageError("wiring: it has no hello; say for which stage and epoch it is")
    return Wiring(
        decode_hello(message.hello),
        _decode(message.downstream) if message.HasField("downstream") else None,
        _decode(message.last) if message.HasField("last") else None,
    )


def _encode(end: StageAddress | None) -> stage_pb2.StageAddress | None:
    return None if end is None else stage_pb2.StageAddress(address=end[0], hello=encode_hello(end[1]))


def _decode(message: stage_pb2.StageAddress) -> StageAddress:
    check_address(check_name("wiring.address", message.address))
    return message.address, decode_hello(message.hello)
