"""Reads the header of a GGUF file and validates it to the last field.

Format: ggml/docs/gguf.md. Whatever libllama would answer with abort(), or accept and then read out of bounds,
is a GgufError here: ``path: field: why``.
"""

from __future__ import annotations

from collections.abc import Mapping

from ggml.gguf.cursor import Cursor, shown
from ggml.gguf.header import Header, TensorInfo
from ggml.gguf.limits import (
    DEFAULT_ALIGNMENT,
    INT64_MAX,
    LIBLLAMA,
    MAX_ALIGNMENT,
    MAX_DIMS,
    MAX_KEY_BYTES,
    MAX_KEYS,
    MAX_TENSORS,
    MIN_ALIGNMENT,
    Rules,
)
from ggml.gguf.mapped import map_file
from ggml.gguf.tensor_types import TENSOR_TYPES
from ggml.gguf.value import MetadataValue, ValueType

MAGIC = b"GGUF"


def read_header(path: str, rules: Rules = LIBLLAMA) -> Header:
    """The header of a file, be it one of several parts of a model.

    GgufError for anything that is not a sound, whole GGUF; OSError where it cannot be opened.
    """
    mapped = map_file(path)
    with mapped.data, memoryview(mapped.data) as data:
        return parse_header(data, path, len(data), mapped.mtime_ns, rules)


def parse_header(
    data: memoryview, name: str, file_size_bytes: int, mtime_ns: int = 0, rules: Rules = LIBLLAMA
) -> Header:
    """The header at the beginning of `data`, which begins a file of `file_size_bytes` that errors call `name`.

    HeaderIncomplete where `data` ends before the header does; GgufError as for a file.
    """
    cursor = Cursor(data, name, file_size_bytes)
    version = _read_version(cursor)
    num_tensors = _read_count(cursor, "tensor count", MAX_TENSORS, 8 + 4 + 8 + 4 + 8)
    num_keys = _read_count(cursor, "key count", MAX_KEYS, 8 + 4 + 1)
    metadata = _read_metadata(cursor, num_keys, rules)
    alignment = _alignment(cursor, metadata)
    tensors = _read_tensors(cursor, num_tensors, alignment, rules)
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


def _read_metadata(cursor: Cursor, num_keys: int, rules: Rules) -> dict[str, MetadataValue]:
    metadata: dict[str, MetadataValue] = {}
    for index in range(num_keys):
        key = _name(cursor, f"key {index}", MAX_KEY_BYTES, rules)
        if key in metadata:
            cursor.fail(shown(key), "duplicate key")
        metadata[key] = cursor.value(shown(key))
    return metadata


def _name(cursor: Cursor, field: str, max_bytes: int, rules: Rules) -> str:
    return cursor.name(field, max_bytes) if rules.c_names else cursor.text(field, max_bytes)


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


def _read_tensors(cursor: Cursor, num_tensors: int, alignment: int, rules: Rules) -> tuple[TensorInfo, ...]:
    tensors: dict[str, TensorInfo] = {}
    expected_offset = 0
    for index in range(num_tensors):
        info = _read_tensor(cursor, index, rules)
        field = f"tensor {shown(info.name)}"
        if info.name in tensors:
            cursor.fail(field, "duplicate tensor name")
        _check_offset(cursor, field, info.offset, expected_offset, alignment)
        expected_offset += -(-info.size_bytes // alignment) * alignment
        tensors[info.name] = info
    return tuple(tensors.values())


def _read_tensor(cursor: Cursor, index: int, rules: Rules) -> TensorInfo:
    name = _name(cursor, f"tensor {index}: name", rules.max_tensor_name_bytes, rules)
    field = f"tensor {shown(name)}"
    num_dims = cursor.uint32(f"{field}: number of dimensions")
    if not rules.min_dims <= num_dims <= MAX_DIMS:
        cursor.fail(field, f"{num_dims} dimensions; {rules.min_dims} to {MAX_DIMS} are possible")
    extents = tuple(cursor.uint64(f"{field}: dimension {axis}") for axis in range(num_dims))
    num_elements = 1
    for axis, extent in enumerate(extents):
        num_elements *= extent
        if not rules.min_extent <= extent <= INT64_MAX:
            cursor.fail(f"{field}: dimension {axis}", f"{extent} is not in {rules.min_extent}..2^63-1")
    type_number = cursor.uint32(f"{field}: type")
    kind = TENSOR_TYPES.get(type_number)
    if kind is None:
        cursor.fail(f"{field}: type", f"unknown tensor type {type_number}")
    row_elements = extents[0] if extents else 1
    if row_elements % kind.block_size:
        cursor.fail(
            field,
            f"{row_elements} elements in a row are no multiple of {kind.name}'s block of {kind.block_size}",
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
                f"tensor {shown(info.name)}",
                f"ends at byte {end}, the file at {file_size_bytes}: truncated?",
            )
