"""The gRPC server that gives a model's weights to other nodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import grpc

from cluster.wire.access.endpoint import Listener
from cluster.wire.access.guarded import GuardedServer
from cluster.wire.codec.weights import (
    MAX_READ_BYTES,
    MAX_TENSOR_BYTES,
    MAX_TENSORS,
    Request,
    TensorRanges,
    check_same_model,
    encode_header_parts,
    encode_weights,
)
from cluster.wire.limits import check_range, parse
from cluster.wire.transport.status import aborting
from protos import weights_pb2

_NUM_THREADS = 16
_MAX_CALLS = 128  # those beyond the threads wait for one


class WeightsBackend(Protocol):
    """A model behind the server, or an adapter for one. Methods are called on several threads at once."""

    @property
    def model_hash(self) -> str: ...

    @property
    def header(self) -> bytes:
        """As a GGUF header."""

    @property
    def held(self) -> TensorRanges:
        """Which tensors are here, by their indices in the order of their names."""

    def tensor_bytes(self, tensor: int) -> int:
        """The size of a tensor that is here; UsageError for any other index."""

    def read(self, tensor: int, begin: int, end: int) -> Iterator[bytes]:
        """Bytes [begin, end) of a tensor that is here, checked to be inside it."""


class WeightsServer:
    """Serves one model, and adapters for it, at host:port to those who know the secret; port 0 takes a free one."""

    def __init__(self, backend: WeightsBackend, listener: Listener, adapters: Sequence[WeightsBackend] = ()) -> None:
        self._backend = backend
        self._by_hash = {one.model_hash: one for one in (*adapters, backend)}
        methods = {"DescribeModel": self._describe, "ReadTensor": self._read}
        self._server = GuardedServer(listener, "Weights", methods, "weights", _NUM_THREADS, _MAX_CALLS)

    def start(self) -> str:
        """The address "host:port" that it listens on. UsageError names a port that is in use."""
        return self._server.start()

    def stop(self) -> None:
        """Ends all calls and threads."""
        self._server.stop()

    def _describe(self, request: bytes, context: grpc.ServicerContext) -> Iterator[weights_pb2.HeaderPart]:
        with aborting(context):
            backend = self._asked_for(parse(weights_pb2.DescribeModelRequest, request))
            yield from encode_header_parts(backend.header, backend.held)

    def _read(self, request: bytes, context: grpc.ServicerContext) -> Iterator[weights_pb2.WeightsPart]:
        with aborting(context):
            asked = parse(weights_pb2.ReadTensorRequest, request)
            backend = self._asked_for(asked)
            tensor = check_range("tensor", asked.tensor, 0, MAX_TENSORS)
            size_bytes = backend.tensor_bytes(tensor)
            begin = check_range("begin", asked.begin, 0, MAX_TENSOR_BYTES)
            end = check_range("end", asked.end, begin + 1, min(size_bytes, begin + MAX_READ_BYTES))
            yield from encode_weights(backend.read(tensor, begin, end))

    def _asked_for(self, request: Request) -> WeightsBackend:
        """By its hash. HandshakeError where that is not served, or another version asks."""
        backend = self._by_hash.get(request.model_hash, self._backend)
        check_same_model(request, backend.model_hash)
        return backend
