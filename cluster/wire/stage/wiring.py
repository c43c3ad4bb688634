"""Asks living stages for a new epoch: what the coordinator does when its streams broke, and the stages are well."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from cluster.messages.stage import Callers, Hello, StageAddress, Wiring
from cluster.wire.access.endpoint import Endpoint, sent_with
from cluster.wire.access.keys import Keys
from cluster.wire.codec.wiring import encode_wiring
from cluster.wire.stage.stream import OPEN_TIMEOUT_S
from cluster.wire.transport.methods import method_path, serialize
from protos import stage_pb2

PROBE_TIMEOUT_S = 2.0
# A stage opens two streams, and waits for the step that it computes now.
WIRE_TIMEOUT_S = 3 * OPEN_TIMEOUT_S

_StageEnd = tuple[Endpoint, Hello]


def wire_stages(stages: Sequence[StageAddress], keys: Keys) -> None:
    """Let these stages, the first to the last, leave the epoch they are in for that of their Hello.

    `keys`: of the coordinator. UnreachableError if one does not answer: then none has been asked to leave.
    HandshakeError if one refuses.
    """
    told = wirings(stages, keys.node)
    ends = [(keys.endpoint(stage.address, stage.node), stage.hello) for stage in stages]
    channels = [endpoint.open_channel() for endpoint, _ in ends]
    try:
        for channel, end in zip(channels, ends, strict=True):
            _ask(channel, "Describe", stage_pb2.DescribeRequest(), PROBE_TIMEOUT_S, end)
        for channel, end, wiring in reversed(list(zip(channels, ends, told, strict=True))):
            _ask(channel, "Wire", encode_wiring(wiring), WIRE_TIMEOUT_S, end)
    finally:
        for channel in channels:
            channel.close()


def wirings(stages: Sequence[StageAddress], coordinator: str = "") -> list[Wiring]:
    """What each stage has to know of the others, and of the node that the coordinator is on."""
    last = stages[-1] if len(stages) > 1 else None
    upstreams = [coordinator, *(stage.node for stage in stages[:-1])]
    return [
        Wiring(
            stage.hello,
            downstream,
            last if number == 0 else None,
            Callers(upstream, coordinator, stages[0].node),
        )
        for number, (stage, downstream, upstream) in enumerate(zip(stages, [*stages[1:], None], upstreams, strict=True))
    ]


def _ask(
    channel: grpc.Channel,
    method: str,
    request: stage_pb2.DescribeRequest | stage_pb2.WireRequest,
    timeout_s: float,
    end: _StageEnd,
) -> None:
    endpoint, hello = end
    peer, path = f"stage {hello.stage} at {endpoint.where}", method_path("Stage", method)
    proof = endpoint.prove(path)
    asked = channel.unary_unary(path, serialize, bytes)
    try:
        _, call = asked.with_call(request, timeout=timeout_s, metadata=sent_with(proof))
    except grpc.RpcError as error:
        raise endpoint.error_of(error, peer, "its process or the network is gone") from error
    if proof is not None:
        proof.check(call.initial_metadata(), peer)
