"""What a GGUF file says about its tensors, checked to the last field (format: ggml's docs/gguf.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NoReturn

from ggml.core import dtypes
from ggml.core.dtypes import DType
from ggml.core.errors import FileFormatError
from ggml.io.cursor import MAX_NAME_BYTES, UINT32, Cursor

MAGIC = b"GGUF"
INT8 = 24  # ggml's number; bools are written so
MAX_TENSORS, MAX_KEYS, MAX_DIMS = 1 << 20, 1 << 16, 4
_BY_TYPE = {dtype.ggml_type: dtype for dtype in (*dtypes.NUMERIC, *dtypes.QUANTIZED.values())}


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor as it lies in the file: outermost extent first, ``offset`` and ``num_bytes`` within the file."""

    name: str
    shape: tuple[int, ...]
    ggml_type: int
    dtype: DType | None  # None: a type that ggml.* has no dtype for, or a bool's bytes
    offset: int
    num_bytes: int


@dataclass(frozen=True, slots=True)
class Header:
    """Metadata strings (of the other values only their keys), and the tensors in the file's order."""

    path: str
    metadata: dict[str, object]
    tensors: dict[str, Stored]

    def fail(self, field: str, why: str) -> NoReturn:
        raise FileFormatError(self.path, field, why)


def parse(data: memoryview, path: str, values: Cursor | None = None) -> Header:
    """The header at the beginning of a whole file, or FileFormatError. ``values`` may keep more of the metadata."""
    cursor = values or Cursor(data, path)
    _check_version(cursor)
    num_tensors = _count(cursor, "tensor count", MAX_TENSORS, 32)
    num_keys = _count(cursor, "key count", MAX_KEYS, 13)
    metadata: dict[str, object] = {}
    for _ in range(num_keys):
        key = cursor.text("key", MAX_NAME_BYTES)
        if key in metadata:
            cursor.fail(shown(key), "is there twice")
        metadata[key] = cursor.value(shown(key))
    alignment = _alignment(cursor, metadata)
    tensors: dict[str, Stored] = {}
    next_offset = 0
    for _ in range(num_tensors):
        found = _tensor(cursor)
        if found.name in tensors:
            cursor.fail(shown(found.name), "is there twice")
        if found.offset != next_offset:
            cursor.fail(shown(found.name), f"lies at {found.offset}; behind the tensor before it is {next_offset}")
        next_offset += -(-found.num_bytes // alignment) * alignment
        tensors[found.name] = found
    start = -(-cursor.position // alignment) * alignment
    return Header(path, metadata, {name: _placed(cursor, one, start) for name, one in tensors.items()})


def _check_version(cursor: Cursor) -> None:
    start = cursor.skip(4, "magic")
    if bytes(cursor.data[start : start + 4]) != MAGIC:
        cursor.fail("magic", "is not GGUF, so this is no GGUF file")
    version = cursor.uint32("version")
    if version and version & 0xFFFF == 0:
        cursor.fail("version", "the file is big endian")
    if version not in (2, 3):
        cursor.fail("version", f"{version} is not known; 2 and 3 are")


def _count(cursor: Cursor, field: str, limit: int, min_bytes: int) -> int:
    count = cursor.uint64(field)
    if count > limit or count * min_bytes > cursor.end - cursor.position + 24:
        cursor.fail(field, f"{count} is more than the file can hold")
    return count


def _alignment(cursor: Cursor, metadata: dict[str, object]) -> int:
    found = metadata.get("general.alignment", (UINT32, 32))
    if not isinstance(found, tuple) or found[0] != UINT32 or found[1] not in (8 << k for k in range(10)):
        cursor.fail("general.alignment", "is not a uint32 that is a power of two from 8 to 4096")
    return int(found[1])


def _tensor(cursor: Cursor) -> Stored:
    """One tensor; its offset still counts from the first one."""
    name = cursor.text("tensor name", MAX_NAME_BYTES)
    field = shown(name)
    num_dims = cursor.uint32(field)
    if num_dims > MAX_DIMS:
        cursor.fail(field, f"has {num_dims} axes; at most {MAX_DIMS} are possible")
    shape = tuple(cursor.uint64(field) for _ in range(num_dims))[::-1]
    kind = cursor.uint32(field)
    dtype = _BY_TYPE.get(kind)
    if dtype is None and kind != INT8:
        cursor.fail(field, f"has the type {kind}, for which there is no dtype")
    block, block_bytes = (1, 1) if dtype is None else (dtype.block, dtype.block_bytes)
    if block > 1 and (not shape or shape[-1] % block):
        cursor.fail(field, f"{shape} has no whole blocks of {block} elements")
    num_bytes = math.prod(shape) // block * block_bytes
    return Stored(name, shape, kind, dtype, cursor.uint64(field), num_bytes)


def _placed(cursor: Cursor, found: Stored, start: int) -> Stored:
    offset = start + found.offset
    if offset + found.num_bytes > len(cursor.data):
        end = offset + found.num_bytes
        cursor.fail(shown(found.name), f"ends at byte {end}, the file at byte {len(cursor.data)}: is it truncated?")
    return Stored(found.name, found.shape, found.ggml_type, found.dtype, offset, found.num_bytes)


def shown(name: str) -> str:
    """A name from a file as it may stand in a message."""
    text = ascii(name)[1:-1]
    return text if len(text) <= 80 else text[:77] + "..."
