"""Requests and answers of the weights service, with the limit of every field."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from cluster.api.errors import HandshakeError, UnreachableError, UsageError
from cluster.messages.stage import PROTOCOL_VERSION
from cluster.wire.limits import check_length, check_range
from protos import weights_pb2

MAX_HEADER_BYTES = 128 << 20  # as for a file
MAX_TENSORS = 1 << 20
MAX_READ_BYTES = 64 << 20  # for one call
WEIGHTS_PART_BYTES = 1 << 20
MAX_TENSOR_BYTES = (1 << 63) - 1
_HASH_CHARS = 64
_DIGEST_BYTES = 32

TensorRanges = tuple[tuple[int, int], ...]  # [first, end) of tensor indices
Request = weights_pb2.DescribeModelRequest | weights_pb2.ReadTensorRequest


def describe_request(model_hash: str) -> weights_pb2.DescribeModelRequest:
    return weights_pb2.DescribeModelRequest(protocol_version=PROTOCOL_VERSION, model_hash=model_hash)


def read_request(model_hash: str, tensor: int, begin: int, end: int) -> weights_pb2.ReadTensorRequest:
    return weights_pb2.ReadTensorRequest(
        protocol_version=PROTOCOL_VERSION, model_hash=model_hash, tensor=tensor, begin=begin, end=end
    )


def check_same_model(request: Request, model_hash: str) -> None:
    """HandshakeError, with both values, unless the request is for this model in this version."""
    if request.protocol_version != PROTOCOL_VERSION:
        raise HandshakeError(
            f"protocol_version: {request.protocol_version} asks, {PROTOCOL_VERSION} answers; "
            "run the same version of ggml-cluster on all nodes"
        )
    check_length("model_hash", request.model_hash, _HASH_CHARS)
    if request.model_hash != model_hash:
        raise HandshakeError(
            f"model_hash: {request.model_hash[:12]!a} is asked for, {model_hash[:12]!a} is served here; "
            "run cluster down, then up again"
        )


def encode_header_parts(data: bytes, held: TensorRanges) -> Iterator[weights_pb2.HeaderPart]:
    """The parts of a header; there is always one."""
    for start in range(0, max(1, len(data)), WEIGHTS_PART_BYTES):
        part = weights_pb2.HeaderPart(data=data[start : start + WEIGHTS_PART_BYTES])
        if start == 0:
            part.header_bytes = len(data)
            part.held.extend(weights_pb2.TensorRange(first=first, end=end) for first, end in held)
        yield part


def decode_header_parts(parts: Iterable[weights_pb2.HeaderPart]) -> tuple[bytes, TensorRanges]:
    """The header and the held tensors. UsageError names the field that breaks its limit."""
    data, size_bytes, held = bytearray(), 0, None
    for part in parts:
        if held is None:
            size_bytes = check_range("header_bytes", part.header_bytes, 1, MAX_HEADER_BYTES)
            held = _decode_held(part)
        check_length("data", part.data, WEIGHTS_PART_BYTES)
        data += part.data
        check_length("header", data, size_bytes)
    if held is None or len(data) != size_bytes:
        raise UsageError(f"header: {len(data)} of {size_bytes} bytes came; ask again")
    return bytes(data), held


def encode_weights(chunks: Iterable[bytes]) -> Iterator[weights_pb2.WeightsPart]:
    for chunk in chunks:
        for start in range(0, len(chunk), WEIGHTS_PART_BYTES):
            data = chunk[start : start + WEIGHTS_PART_BYTES]
            yield weights_pb2.WeightsPart(data=data, sha256=hashlib.sha256(data).digest())


def decode_weights(part: weights_pb2.WeightsPart) -> bytes:
    """The bytes. UsageError where they break a limit, UnreachableError where they are not those that were sent."""
    check_length("data", part.data, WEIGHTS_PART_BYTES)
    check_length("sha256", part.sha256, _DIGEST_BYTES)
    if hashlib.sha256(part.data).digest() != part.sha256:
        raise UnreachableError(f"data: {len(part.data)} bytes came damaged; ask again")
    return part.data


def _decode_held(part: weights_pb2.HeaderPart) -> TensorRanges:
    check_length("held", part.held, MAX_TENSORS)
    found, last = [], 0
    for item in part.held:
        first = check_range("held.first", item.first, last, MAX_TENSORS)
        last = check_range("held.end", item.end, first + 1, MAX_TENSORS)
        found.append((first, last))
    return tuple(found)
