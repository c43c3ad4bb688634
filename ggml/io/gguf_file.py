"""All that the header of a GGUF file says, for looking at it: every metadata value, and the tensors."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ggml.core.dtypes import QUANTIZED, DType
from ggml.core.errors import DTypeError, FileFormatError
from ggml.gguf.value import MetadataArray, MetadataValue, ValueType
from ggml.io.mapped import open_mapped
from ggml.ops.create.interop import from_buffer, over_private
from ggml.tensors.tensor import Tensor

__all__ = ["GgufFile", "GgufTensor", "open_gguf", "plain_path"]

# GGUF's names of value types, by their number.
_TYPE_NAMES = ("u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "str", "arr", "u64", "i64", "f64")


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """A tensor's entry: ``shape`` slowest axis first, ``offset`` in bytes from the beginning of the file.

    ``type`` is ggml's name of the element type in lower case; i8 has no dtype.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    offset: int
    num_bytes: int
    stored: DType | None

    @property
    def is_quantized(self) -> bool:
        return self.type in QUANTIZED

    @property
    def dtype(self) -> DType:
        """The dtype, or DTypeError for a type that only files have."""
        if self.stored is None:
            raise DTypeError(self.name, "a type that ggml tensors have", self.type)
        return self.stored


@dataclass(frozen=True, slots=True)
class GgufFile:
    """A header. ``metadata`` maps keys to Python values; ``types`` to GGUF's names of their types."""

    path: Path
    version: int
    alignment: int
    num_bytes: int
    metadata: dict[str, Any]
    types: dict[str, str]
    tensors: tuple[GgufTensor, ...]

    def find(self, name: str) -> GgufTensor:
        """The entry of a tensor, or FileFormatError."""
        for tensor in self.tensors:
            if tensor.name == name:
                return tensor
        raise FileFormatError(str(self.path), name, "there is no such tensor")

    def load(self, name: str) -> Tensor:
        """A tensor over the mapped file, read as it is used. The file must not be cut short meanwhile."""
        entry = self.find(name)
        if not entry.num_bytes:
            return from_buffer(b"", dtype=entry.dtype, shape=entry.shape)
        # What is written into the tensor stays in this process.
        mapped = np.memmap(self.path, np.uint8, mode="c", offset=entry.offset, shape=(entry.num_bytes,))
        return over_private(mapped, dtype=entry.dtype, shape=entry.shape)


def plain_path(op: str, path: Any) -> str:
    """A path as text that the libraries can open, or DTypeError or FileFormatError."""
    try:
        known = os.fsdecode(path)
    except TypeError:
        raise DTypeError(op, "a path", type(path).__name__) from None
    if "\0" in known or not _is_utf8(known):
        raise FileFormatError(ascii(known), "name", "is not UTF-8 without null characters")
    return known


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def open_gguf(path: str | os.PathLike[str] | bytes) -> GgufFile:
    """Read and check a header. FileFormatError for a file that is not sound, OSError for one that cannot be opened."""
    known = plain_path("open_gguf", path)
    # Only for reading: the system need not keep memory back, so the file may be larger than that.
    file = open_mapped(known, mmap.ACCESS_READ)
    tensors = tuple(
        GgufTensor(one.name, one.type.name.lower(), one.shape, one.offset, one.num_bytes, one.dtype)
        for one in file.tensors.values()
    )
    found = file.header.metadata
    metadata = {key: _plain(value) for key, value in found.items()}
    types = {key: _type_name(value) for key, value in found.items()}
    return GgufFile(Path(known), file.header.version, file.header.alignment, len(file.data), metadata, types, tensors)


def _type_name(value: MetadataValue) -> str:
    if isinstance(value.value, MetadataArray):
        return f"arr:{_TYPE_NAMES[value.value.element_type]}"
    return _TYPE_NAMES[value.type]


def _plain(value: MetadataValue) -> Any:
    """A Python value. A vocabulary may hold pieces that are no UTF-8 of their own."""
    found = value.value
    if not isinstance(found, MetadataArray):
        return found
    if found.element_type is ValueType.STRING:
        return [str(raw, "utf-8", "replace") for raw in found.strings()]
    return found.numbers().tolist()
