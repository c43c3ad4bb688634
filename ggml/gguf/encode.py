"""GGUF headers as bytes: the inverse of the reader."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Protocol

from ggml.gguf.tensor_types import TensorType
from ggml.gguf.value import SCALAR_FORMAT, MetadataArray, MetadataValue, ValueType

# What ggml's CPU buffers ask of a mapped tensor, and the format's default, so it needs no key.
ALIGNMENT = 32


class Described(Protocol):
    """A tensor to describe in a header; shape in PyTorch order."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def type(self) -> TensorType: ...
    @property
    def size_bytes(self) -> int: ...


def aligned(size_bytes: int) -> int:
    return -(-size_bytes // ALIGNMENT) * ALIGNMENT


def encode_header(metadata: Mapping[str, MetadataValue], tensors: Iterable[Described]) -> bytes:
    """A version 3 header; its tensors follow in this order, each at the next multiple of ALIGNMENT."""
    infos = list(tensors)
    parts = [struct.pack("<4sIQQ", b"GGUF", 3, len(infos), len(metadata))]
    for key, value in metadata.items():
        parts += (_string(key.encode()), struct.pack("<I", value.type), _value(value))
    offset = 0
    for info in infos:
        parts.append(_tensor(info, offset))
        offset += aligned(info.size_bytes)
    head = b"".join(parts)
    return head.ljust(aligned(len(head)), b"\0")


def _tensor(info: Described, offset: int) -> bytes:
    num_dims = len(info.shape)
    extents = struct.pack(f"<I{num_dims}Q", num_dims, *reversed(info.shape))
    return _string(info.name.encode()) + extents + struct.pack("<IQ", info.type.number, offset)


def _string(raw: bytes) -> bytes:
    return struct.pack("<Q", len(raw)) + raw


def _value(value: MetadataValue) -> bytes:
    found = value.value
    if isinstance(found, MetadataArray):
        return struct.pack("<IQ", found.element_type, found.count) + found.raw
    if isinstance(found, str):
        return _string(found.encode())
    assert value.type not in (ValueType.ARRAY, ValueType.STRING)
    return struct.pack(SCALAR_FORMAT[value.type], found)
