"""One tensor of a slice's file, as it is planned: where its bytes come from, or zeros of some shape."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from cluster.cutting.header import Header
from ggml.gguf.header import TensorInfo
from ggml.gguf.tensor_types import F16, F32, Q1_0, TensorType


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """A tensor of a slice file: `source_offset` is its first byte in the source file, None for zeros.

    `source_row_bytes`: where it is some columns of a larger tensor, how far its rows lie apart there; else 0.
    """

    name: str
    shape: tuple[int, ...]
    type: TensorType
    size_bytes: int
    source_offset: int | None
    source_row_bytes: int = 0


def copied(header: Header, info: TensorInfo, name: str | None = None) -> PlannedTensor:
    """The model's tensor, under another name where one is given."""
    offset = header.data_start + info.offset
    return PlannedTensor(name or info.name, info.shape, info.type, info.size_bytes, offset)


def zeros(info: TensorInfo, name: str | None = None) -> PlannedTensor:
    """Zeros of its shape and type."""
    return PlannedTensor(name or info.name, info.shape, info.type, info.size_bytes, None)


def small_zeros(name: str, shape: tuple[int, ...], kind: TensorType) -> PlannedTensor:
    """Zeros of any type."""
    return PlannedTensor(name, shape, kind, kind.row_bytes(prod(shape)), None)


def zero_vector(name: str, width: int) -> PlannedTensor:
    """A bias, or the weights of a norm, of zeros."""
    return small_zeros(name, (width,), F32)


def stand_in(name: str, num_rows: int, width: int) -> PlannedTensor:
    """Zeros of the right shape in the smallest type: 1.125 bits a weight. libllama repacks neither type."""
    return small_zeros(name, (num_rows, width), Q1_0 if width % Q1_0.block_size == 0 else F16)
