"""A GGUF file in memory: its header, which is sound, and where each tensor lies.

Files are opened here, and only here: what the reader finds wrong with one leaves this module as a FileFormatError.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import NoReturn

from ggml.core.dtypes import BY_GGML_TYPE, DType
from ggml.core.errors import FileFormatError
from ggml.gguf.cursor import shown
from ggml.gguf.errors import GgufError
from ggml.gguf.header import Header, TensorInfo
from ggml.gguf.limits import GGUF_PY
from ggml.gguf.mapped import map_file
from ggml.gguf.reader import parse_header
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
class Mapped:
    """The bytes of a file, its header, and its tensors by name in the file's order."""

    data: mmap.mmap
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


def open_mapped(path: str, access: int) -> Mapped:
    """A file with its header, checked to the last field. ``access`` is one of mmap's.

    FileFormatError for one that is not sound, or has elements of a type without dtype; OSError where it cannot be
    opened.
    """
    try:
        file = map_file(path, access)
        header = parse_header(memoryview(file.data), path, len(file.data), file.mtime_ns, GGUF_PY)
    except GgufError as error:
        raise FileFormatError(error.path, error.field, error.why) from error
    return Mapped(file.data, header, {info.name: _stored(header, info) for info in header.tensors})


def _stored(header: Header, info: TensorInfo) -> Stored:
    dtype = BY_GGML_TYPE.get(info.type.number)
    if dtype is None and info.type is not I8:
        raise FileFormatError(
            header.path, f"tensor {shown(info.name)}", f"has the type {info.type.name}, for which there is no dtype"
        )
    return Stored(info.name, info.shape, info.type, dtype, header.data_start + info.offset, info.size_bytes)
