"""A bounds-checked position in the bytes of a GGUF header."""

from __future__ import annotations

import struct
from typing import NoReturn

from ggml.gguf.errors import GgufError
from ggml.gguf.limits import MAX_ARRAY_ITEMS, MAX_HEADER_BYTES, MAX_STRING_BYTES
from ggml.gguf.value import SCALAR_BYTES, SCALAR_FORMAT, MetadataArray, MetadataValue, ValueType

_UINT32 = struct.Struct("<I")
_UINT64 = struct.Struct("<Q")


class HeaderIncomplete(Exception):
    """`data` is the beginning of a header that goes on: at least `needed_bytes` of the file are needed."""

    def __init__(self, needed_bytes: int) -> None:
        super().__init__(needed_bytes)
        self.needed_bytes = needed_bytes


class Cursor:
    """Reads little-endian values from `data`, each inside its bounds or a GgufError naming `field`.

    `data` is any buffer (an mmap); what is returned is a copy, so the file may change or go away afterwards.
    It may be only the beginning of a file of `file_size_bytes`: then HeaderIncomplete where it ends too soon.
    """

    __slots__ = ("data", "end", "limit", "path", "position", "size")

    def __init__(self, data: memoryview, path: str, file_size_bytes: int) -> None:
        self.data = data
        self.size = file_size_bytes
        self.limit = min(file_size_bytes, MAX_HEADER_BYTES)  # no header goes on beyond
        self.end = min(len(data), self.limit)  # what is there
        self.path = path
        self.position = 0

    def fail(self, field: str, why: str) -> NoReturn:
        raise GgufError(self.path, field, why)

    def skip(self, size_bytes: int, field: str) -> int:
        """Move past `size_bytes` bytes; the position where they start."""
        start = self.position
        if size_bytes > self.end - start:
            self._check_limit(size_bytes, start, field)
            raise HeaderIncomplete(start + size_bytes)
        self.position = start + size_bytes
        return start

    def _check_limit(self, size_bytes: int, start: int, field: str) -> None:
        if size_bytes <= self.limit - start:
            return
        if self.limit < self.size:
            self.fail(field, f"the header is larger than {MAX_HEADER_BYTES} bytes")
        self.fail(field, f"needs {size_bytes} bytes at offset {start}, the file ends after {self.limit - start}")

    def uint32(self, field: str) -> int:
        return int(_UINT32.unpack_from(self.data, self.skip(4, field))[0])

    def uint64(self, field: str) -> int:
        return int(_UINT64.unpack_from(self.data, self.skip(8, field))[0])

    def text(self, field: str, max_bytes: int) -> str:
        """A length-prefixed UTF-8 string of at most `max_bytes` bytes."""
        length = self.uint64(field)
        if length > max_bytes:
            self.fail(field, f"length {length} is over the limit of {max_bytes} bytes")
        start = self.skip(length, field)
        try:
            return str(self.data[start : start + length], "utf-8")
        except UnicodeDecodeError as error:
            self.fail(field, f"not UTF-8 at byte {error.start}")

    def name(self, field: str, max_bytes: int) -> str:
        """A key or tensor name: not empty, and without NUL, at which C would end it."""
        found = self.text(field, max_bytes)
        if not found or "\0" in found:
            self.fail(field, "empty" if not found else "contains a NUL character")
        return found

    def value(self, field: str) -> MetadataValue:
        kind = self._value_type(field)
        if kind is ValueType.ARRAY:
            return MetadataValue(kind, self._array(field))
        if kind is ValueType.STRING:
            return MetadataValue(kind, self.text(field, MAX_STRING_BYTES))
        start = self.skip(SCALAR_BYTES[kind], field)
        if kind is ValueType.BOOL and self.data[start] > 1:
            self.fail(field, f"a bool must be 0 or 1, not {self.data[start]}")
        return MetadataValue(kind, struct.unpack_from(SCALAR_FORMAT[kind], self.data, start)[0])

    def _value_type(self, field: str) -> ValueType:
        number = self.uint32(field)
        if number not in ValueType._value2member_map_:
            self.fail(field, f"unknown value type {number}")
        return ValueType(number)

    def _array(self, field: str) -> MetadataArray:
        element_type = self._value_type(field)
        if element_type is ValueType.ARRAY:
            self.fail(field, "an array of arrays")
        count = self.uint64(field)
        if count > MAX_ARRAY_ITEMS:
            self.fail(field, f"{count} array elements are over the limit of {MAX_ARRAY_ITEMS}")
        start = self.position
        if element_type is ValueType.STRING:
            self._skip_strings(count, field)
        else:
            self.skip(count * SCALAR_BYTES[element_type], field)
        return MetadataArray(element_type, count, bytes(self.data[start : self.position]))

    def _skip_strings(self, count: int, field: str) -> None:
        # A vocabulary is the bulk of a header, so this loop is kept bare: 152k tokens take about 40 ms.
        if count * 8 > self.end - self.position:
            self.skip(count * 8, field)
        position, end, data, unpack = self.position, self.end, self.data, _UINT64.unpack_from
        last_length = end - 8
        for _ in range(count):
            if position > last_length:
                break
            position += 8 + unpack(data, position)[0]
        else:
            if position <= end:
                self.position = position
                return
        needed_bytes = position + 8 if position <= end else position
        if needed_bytes > self.limit:
            self.fail(field, "a string of the array runs past the end of the file")
        raise HeaderIncomplete(needed_bytes)


def shown(name: str) -> str:
    """A name from a file as it may stand in a one-line message."""
    text = ascii(name)[1:-1]
    return text if len(text) <= 80 else text[:77] + "..."
