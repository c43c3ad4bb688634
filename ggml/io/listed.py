"""The tensors of a GGUF file as its header lists them, whether or not the file is here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from ggml.core.dtypes import BY_GGML_TYPE, DType
from ggml.core.errors import FileFormatError
from ggml.gguf.cursor import shown
from ggml.gguf.header import Header, TensorInfo
from ggml.gguf.tensor_types import I8, TensorType
from ggml.gguf.value import MetadataArray, ValueType


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor as it lies in the file: outermost extent first, ``offset`` and ``num_bytes`` within the file."""

    name: str
    shape: tuple[int, ...]
    type: TensorType
    dtype: DType | None  # None for int8, which ggml.* has no dtype for: bools are written so
    offset: int
    num_bytes: int


@dataclass(frozen=True, slots=True)
class Listed:
    """The header of a file, and its tensors by name in the file's order."""

    header: Header
    tensors: dict[str, Stored]

    def array_of_bytes(self, key: str) -> bytes | None:
        """The value of a key that is an array of uint8; None if there is no such key."""
        found = self.header.metadata.get(key)
        value = None if found is None else found.value
        if not isinstance(value, MetadataArray) or value.element_type is not ValueType.UINT8:
            return None
        return bytes(value.raw)

    def fail(self, field: str, why: str) -> NoReturn:
        raise FileFormatError(self.header.path, field, why)


def listed(header: Header) -> Listed:
    """FileFormatError where elements have a type without dtype."""
    return Listed(header, {info.name: _stored(header, info) for info in header.tensors})


def _stored(header: Header, info: TensorInfo) -> Stored:
    dtype = BY_GGML_TYPE.get(info.type.number)
    if dtype is None and info.type is not I8:
        raise FileFormatError(
            header.path, f"tensor {shown(info.name)}", f"has the type {info.type.name}, for which there is no dtype"
        )
    return Stored(info.name, info.shape, info.type, dtype, header.data_start + info.offset, info.size_bytes)
