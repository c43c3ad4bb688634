"""Asks a node for a model's header and for bytes of its tensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import grpc
from google.protobuf.message import Message

from cluster.api.errors import UnreachableError, UsageError
from cluster.wire.access.endpoint import Endpoint, sent_with
from cluster.wire.access.proof import proved_messages
from cluster.wire.codec.weights import (
    TensorRanges,
    decode_header_parts,
    decode_weights,
    describe_request,
    read_request,
)
from cluster.wire.limits import parse
from cluster.wire.transport.methods import method_path, serialize
from protos import weights_pb2

CALL_TIMEOUT_S = 120.0


class _Answer(NamedTuple):
    call: Any
    messages: Iterator[bytes]


class WeightsClient:
    """A connection to the weights server at `endpoint`. Close it."""

    def __init__(self, endpoint: Endpoint, model_hash: str) -> None:
        """UsageError if that has no address. It connects with the first call."""
        self.address = endpoint.address
        self._endpoint = endpoint
        self._model_hash = model_hash
        self._channel = endpoint.open_channel()

    def describe(self) -> tuple[bytes, TensorRanges]:
        """The model's header and the tensors that are there. HandshakeError, UsageError, UnreachableError."""
        with self._errors():
            answer = self._ask("DescribeModel", describe_request(self._model_hash))
            return decode_header_parts(parse(weights_pb2.HeaderPart, data) for data in answer.messages)

    def read(self, tensor: int, begin: int, end: int) -> Iterator[bytes]:
        """Bytes [begin, end) of a tensor, at most MAX_READ_BYTES, each part checked; errors as for `describe`."""
        left_bytes = end - begin
        with self._errors():
            answer = self._ask("ReadTensor", read_request(self._model_hash, tensor, begin, end))
            try:
                for data in answer.messages:
                    chunk = decode_weights(parse(weights_pb2.WeightsPart, data))
                    left_bytes -= len(chunk)
                    if left_bytes < 0 or not chunk:
                        raise UsageError(f"{self.address}: sent other bytes than were asked for; update that node")
                    yield chunk
            finally:
                answer.call.cancel()
            if left_bytes:
                raise UnreachableError(f"{self.address}: sent {left_bytes} bytes too few; ask again")

    def close(self) -> None:
        self._channel.close()

    def _ask(self, method: str, request: Message) -> _Answer:
        path = method_path("Weights", method)
        proof = self._endpoint.prove(path)
        call = self._channel.unary_stream(path, serialize, bytes)
        answer = call(request, timeout=CALL_TIMEOUT_S, metadata=sent_with(proof))
        return _Answer(answer, proved_messages(answer, proof, f"weights at {self.address}"))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            raise self._endpoint.error_of(
                error, f"weights at {self.address}", "see that the node there is up, and run this again"
            ) from error
