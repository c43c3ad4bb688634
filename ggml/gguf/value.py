"""Metadata values of a GGUF: their types, their bytes, and arrays that stay undecoded until asked."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class ValueType(IntEnum):
    """The type numbers of the GGUF specification (ggml/docs/gguf.md)."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


# struct format of each fixed-size type; a bool is one byte, 0 or 1.
SCALAR_FORMAT: dict[ValueType, str] = {
    ValueType.UINT8: "<B",
    ValueType.INT8: "<b",
    ValueType.UINT16: "<H",
    ValueType.INT16: "<h",
    ValueType.UINT32: "<I",
    ValueType.INT32: "<i",
    ValueType.FLOAT32: "<f",
    ValueType.BOOL: "<?",
    ValueType.UINT64: "<Q",
    ValueType.INT64: "<q",
    ValueType.FLOAT64: "<d",
}
SCALAR_BYTES: dict[ValueType, int] = {kind: struct.calcsize(form) for kind, form in SCALAR_FORMAT.items()}

_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class MetadataArray:
    """An array as it lies in the file: `count` elements of `element_type` in `raw` (little endian).

    The reader has checked `raw` (every string length inside it), so decoding cannot fail.
    """

    element_type: ValueType
    count: int
    raw: bytes

    def numbers(self) -> NDArray[np.generic]:
        """[count] values without a copy; TypeError for an array of strings."""
        if self.element_type is ValueType.STRING:
            raise TypeError("array of strings: it has no numbers; call strings()")
        return np.frombuffer(self.raw, dtype=np.dtype(SCALAR_FORMAT[self.element_type]))

    def strings(self) -> list[bytes]:
        """The strings as bytes, because tokens need not be UTF-8; TypeError for an array of numbers."""
        if self.element_type is not ValueType.STRING:
            raise TypeError(f"array of {self.element_type.name}: it has no strings; call numbers()")
        found, position, raw = [], 0, self.raw
        for _ in range(self.count):
            start = position + 8
            position = start + _LENGTH.unpack_from(raw, position)[0]
            found.append(raw[start:position])
        return found

    def part(self, first: int, end: int) -> MetadataArray:
        """Elements [first, end) of an array of numbers."""
        width = SCALAR_BYTES[self.element_type]
        return MetadataArray(self.element_type, end - first, self.raw[first * width : end * width])


@dataclass(frozen=True, slots=True)
class MetadataValue:
    """One value: int for the integer types, float, bool, str for STRING, MetadataArray for ARRAY."""

    type: ValueType
    value: int | float | bool | str | MetadataArray


def uint32(value: int) -> MetadataValue:
    return MetadataValue(ValueType.UINT32, value)


def string(value: str) -> MetadataValue:
    return MetadataValue(ValueType.STRING, value)


def uint32_array(values: tuple[int, ...]) -> MetadataValue:
    raw = np.asarray(values, dtype="<u4").tobytes()
    return MetadataValue(ValueType.ARRAY, MetadataArray(ValueType.UINT32, len(values), raw))


def float32(value: float) -> MetadataValue:
    return MetadataValue(ValueType.FLOAT32, value)


def float32_array(values: Sequence[float | np.float32]) -> MetadataValue:
    raw = np.asarray(values, dtype="<f4").tobytes()
    return MetadataValue(ValueType.ARRAY, MetadataArray(ValueType.FLOAT32, len(values), raw))


def string_array(values: tuple[str, ...]) -> MetadataValue:
    raw = b"".join(_LENGTH.pack(len(value.encode())) + value.encode() for value in values)
    return MetadataValue(ValueType.ARRAY, MetadataArray(ValueType.STRING, len(values), raw))
