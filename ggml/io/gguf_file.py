"""All that the header of a GGUF file says, for looking at it: every metadata value, and the tensors."""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ggml.core.dtypes import QUANTIZED, DType
from ggml.core.errors import DTypeError, FileFormatError
from ggml.io.cursor import ARRAY, MAX_ITEMS, MAX_STRING_BYTES, SCALARS, STRING, Cursor
from ggml.io.header import parse
from ggml.io.reading import mapped_file
from ggml.ops.create.interop import from_buffer, over_private
from ggml.tensors.tensor import Tensor
from worker_native import ggml_types

__all__ = ["GgufFile", "GgufTensor", "open_gguf", "plain_path"]

_NAMES = {number: name.lower() for name, number, *_ in ggml_types()}

# GGUF's names of value types, by their number.
_KINDS = ("u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "str", "arr", "u64", "i64", "f64")
_BOOL = 7


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
    mapped = mapped_file(known, mmap.ACCESS_READ)
    values = _ValueCursor(memoryview(mapped), known)
    header = parse(values.data, known, values)
    found = dict(zip(header.metadata, values.found, strict=True))
    metadata = {key: value for key, (_, value) in found.items()}
    tensors = tuple(
        GgufTensor(one.name, _NAMES[one.ggml_type], one.shape, one.offset, one.num_bytes, one.dtype)
        for one in header.tensors.values()
    )
    version: int = struct.unpack_from("<I", mapped, 4)[0]
    types = {key: kind for key, (kind, _) in found.items()}
    alignment = int(metadata.get("general.alignment", 32))
    return GgufFile(Path(known), version, alignment, len(mapped), metadata, types, tensors)


class _ValueCursor(Cursor):
    """Keeps every metadata value with its type, in order; arrays too."""

    def __init__(self, data: memoryview, path: str) -> None:
        super().__init__(data, path)
        self.found: list[tuple[str, Any]] = []

    def value(self, field: str) -> object:
        start = self.position
        if self.uint32(field) != ARRAY:
            self.position = start
            result = super().value(field)
            if isinstance(result, tuple):
                kind, number = result
                self.found.append((_KINDS[kind], bool(number) if kind == _BOOL else number))
            else:
                self.found.append(("str", result))
            return result
        item, count = self.uint32(field), self.uint64(field)
        if count > MAX_ITEMS:
            self.fail(field, f"has {count} items; at most {MAX_ITEMS} are possible")
        self.found.append((f"arr:{_KINDS[item] if item < len(_KINDS) else '?'}", self._items(item, count, field)))
        return None

    def _items(self, item: int, count: int, field: str) -> list[Any]:
        if item == STRING:
            return [self._string(field) for _ in range(count)]
        if item not in SCALARS:
            self.fail(field, f"has the unknown type {item}")
        form = SCALARS[item]
        start = self.skip(count * struct.calcsize(form), field)
        numbers = list(struct.unpack_from(f"<{count}{form[1:]}", self.data, start))
        return [bool(number) for number in numbers] if item == _BOOL else numbers

    def _string(self, field: str) -> str:
        """A vocabulary may hold pieces that are no UTF-8 of their own."""
        length = self.uint64(field)
        if length > MAX_STRING_BYTES:
            self.fail(field, f"has {length} bytes; at most {MAX_STRING_BYTES} are possible")
        start = self.skip(length, field)
        return str(self.data[start : start + length], "utf-8", "replace")
