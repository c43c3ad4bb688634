"""Reads the header of a GGUF file through mmap and validates it to the last field.

Format: ggml/docs/gguf.md. Whatever libllama would answer with abort(), or accept and then read out of bounds,
is a ModelFileError here: ``path: field: why``.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Mapping

from cluster.api.errors import ModelFileError
from cluster.gguf.cursor import MAX_KEY_BYTES, Cursor
from cluster.gguf.header import Header, TensorInfo
from cluster.gguf.tensor_types import TENSOR_TYPES
from cluster.gguf.value import MetadataValue, ValueType

MAGIC = b"GGUF"
DEFAULT_ALIGNMENT = 32
MIN_ALIGNMENT, MAX_ALIGNMENT = 8, 4096
MAX_KEYS = 65536
MAX_TENSORS = 1 << 20
MAX_TENSOR_NAME_BYTES = 63  # GGML_MAX_NAME is 64, with the NUL
MAX_DIMS = 4  # GGML_MAX_DIMS
INT64_MAX = 2**63 - 1


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read and validate the header of `path`; ModelFileError for anything that is not a sound, whole GGUF."""
    header = read_part(path)
    num_parts = num_parts_of(header)
    if num_parts > 1:
        raise header.error("split.count", f"one of {num_parts} parts of a model; name the first of them")
    return header


def num_parts_of(header: Header) -> int:
    """How many files the model is split into; 1 where it is whole."""
    found = header.metadata.get("split.count")
    if found is None:
        return 1
    if not isinstance(found.value, int):
        raise header.error("split.count", f"has type {found.type.name}, must be a number")
    return max(1, found.value)


def read_part(path: str | os.PathLike[str]) -> Header:
    """The same for a file that may be one of several parts."""
    name = os.fspath(path)
    try:
        # O_NONBLOCK: opening a FIFO must not hang; it has no effect on a regular file.
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelFileError(f"{name}: cannot be opened: {reason}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ModelFileError(f"{name}: file: not a regular file")
        if status.st_size < 24:
            raise ModelFileError(f"{name}: file: {status.st_size} bytes are too few for a GGUF header")
        with (
            mmap.mmap(descriptor, status.st_size, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as data,
        ):
            return parse_header(data, name, status.st_size, status.st_mtime_ns)
    finally:
        os.close(descriptor)


def parse_header(data: memoryview, name: str, file_size_bytes: int, mtime_ns: int = 0) -> Header:
    """The header at the beginning of `data`, which begins a file of `file_size_bytes` that errors call `name`.

    HeaderIncomplete where `data` ends before the header does; ModelFileError as for a file.
    """
    cursor = Cursor(data, name, file_size_bytes)
    version = _read_version(cursor)
    num_tensors = _read_count(cursor, "tensor count", MAX_TENSORS, 8 + 4 + 8 + 4 + 8)
    num_keys = _read_count(cursor, "key count", MAX_KEYS, 8 + 4 + 1)
    metadata = _read_metadata(cursor, num_keys)
    alignment = _alignment(cursor, metadata)
    tensors = _read_tensors(cursor, num_tensors, alignment)
    data_start = -(-cursor.position // alignment) * alignment if tensors else cursor.position
    if tensors:
        _check_inside(cursor, tensors, data_start, file_size_bytes)
    return Header(
        path=cursor.path,
        version=version,
        alignment=alignment,
        metadata=metadata,
        tensors=tensors,
        data_start=data_start,
        file_size_bytes=file_size_bytes,
        mtime_ns=mtime_ns,
    )


def _read_version(cursor: Cursor) -> int:
    start = cursor.skip(4, "magic")
    magic = bytes(cursor.data[start : start + 4])
    if magic != MAGIC:
        cursor.fail("magic", f"{magic!r} is not {MAGIC!r}, so this is not a GGUF file")
    version = cursor.uint32("version")
    if version and version & 0xFFFF == 0:
        cursor.fail("version", "the file is big endian; convert it to little endian")
    if version not in (2, 3):
        cursor.fail("version", f"{version} is not supported; versions 2 and 3 are")
    return version


def _read_count(cursor: Cursor, field: str, limit: int, min_item_bytes: int) -> int:
    count = cursor.uint64(field)
    if count > limit:
        cursor.fail(field, f"{count} is over the limit of {limit}")
    if count * min_item_bytes > cursor.limit - cursor.position:
        cursor.fail(field, f"{count} cannot fit into the {cursor.limit - cursor.position} bytes that follow")
    return count


def _read_metadata(cursor: Cursor, num_keys: int) -> dict[str, MetadataValue]:
    metadata: dict[str, MetadataValue] = {}
    for index in range(num_keys):
        key = cursor.name(f"key {index}", MAX_KEY_BYTES)
        if key in metadata:
            cursor.fail(_shown(key), "duplicate key")
        metadata[key] = cursor.value(_shown(key))
    return metadata


def _alignment(cursor: Cursor, metadata: Mapping[str, MetadataValue]) -> int:
    found = metadata.get("general.alignment")
    if found is None:
        return DEFAULT_ALIGNMENT
    value = found.value
    if found.type is not ValueType.UINT32 or not isinstance(value, int):
        cursor.fail("general.alignment", f"has type {found.type.name}, must be UINT32")
    if not MIN_ALIGNMENT <= value <= MAX_ALIGNMENT or value & (value - 1):
        cursor.fail("general.alignment", f"{value} is not a power of two in {MIN_ALIGNMENT}..{MAX_ALIGNMENT}")
    return value


def _read_tensors(cursor: Cursor, num_tensors: int, alignment: int) -> tuple[TensorInfo, ...]:
    tensors: dict[str, TensorInfo] = {}
    expected_offset = 0
    for index in range(num_tensors):
        info = _read_tensor(cursor, index)
        field = f"tensor {_shown(info.name)}"
        if info.name in tensors:
            cursor.fail(field, "duplicate tensor name")
        _check_offset(cursor, field, info.offset, expected_offset, alignment)
        expected_offset += -(-info.size_bytes // alignment) * alignment
        tensors[info.name] = info
    return tuple(tensors.values())


def _read_tensor(cursor: Cursor, index: int) -> TensorInfo:
    name = cursor.name(f"tensor {index}: name", MAX_TENSOR_NAME_BYTES)
    field = f"tensor {_shown(name)}"
    num_dims = cursor.uint32(f"{field}: number of dimensions")
    if not 1 <= num_dims <= MAX_DIMS:
        cursor.fail(field, f"{num_dims} dimensions; 1 to {MAX_DIMS} are possible")
    extents = tuple(cursor.uint64(f"{field}: dimension {axis}") for axis in range(num_dims))
    num_elements = 1
    for axis, extent in enumerate(extents):
        num_elements *= extent
        if not 1 <= extent <= INT64_MAX:
            cursor.fail(f"{field}: dimension {axis}", f"{extent} is not in 1..2^63-1")
    type_number = cursor.uint32(f"{field}: type")
    kind = TENSOR_TYPES.get(type_number)
    if kind is None:
        cursor.fail(f"{field}: type", f"unknown tensor type {type_number}")
    if extents[0] % kind.block_size:
        cursor.fail(
            field,
            f"{extents[0]} elements in a row are no multiple of {kind.name}'s block of {kind.block_size}",
        )
    size_bytes = kind.row_bytes(num_elements)
    if num_elements > INT64_MAX or size_bytes > INT64_MAX:
        cursor.fail(field, f"shape {extents[::-1]} is larger than 2^63-1 bytes")
    return TensorInfo(name, extents[::-1], kind, cursor.uint64(f"{field}: offset"), size_bytes)


def _check_offset(cursor: Cursor, field: str, offset: int, expected: int, alignment: int) -> None:
    # ggml takes tensors only in file order and without gaps, so one comparison also rules out overlap.
    if offset % alignment:
        cursor.fail(f"{field}: offset", f"{offset} is no multiple of the alignment {alignment}")
    if offset < expected:
        cursor.fail(f"{field}: offset", f"{offset} overlaps the tensor before it, which ends at {expected}")
    if offset > expected:
        cursor.fail(f"{field}: offset", f"{offset} leaves a gap after the tensor before it, which ends at {expected}")


def _check_inside(cursor: Cursor, tensors: tuple[TensorInfo, ...], data_start: int, file_size_bytes: int) -> None:
    for info in tensors:
        end = data_start + info.offset + info.size_bytes
        if end > file_size_bytes:
            cursor.fail(
                f"tensor {_shown(info.name)}",
                f"ends at byte {end}, the file at {file_size_bytes}: truncated?",
            )


def _shown(name: str) -> str:
    """A name from the file as it may stand in a one-line message."""
    shown = ascii(name)[1:-1]
    return shown if len(shown) <= 80 else shown[:77] + "..."
