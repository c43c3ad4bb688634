"""A bounds-checked position in the header of a GGUF file."""

from __future__ import annotations

import struct
from typing import NoReturn

from ggml.core.errors import FileFormatError

# No sound file comes near these; they bound the time and memory that a hostile one can take.
MAX_HEADER_BYTES = 256 << 20
MAX_STRING_BYTES = 32 << 20
MAX_NAME_BYTES = 65535  # of a key, by the specification
MAX_ITEMS = 4 << 20

# struct format of the value types of fixed size, by their number; 8 is a string, 9 an array.
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<B", 10: "<Q", 11: "<q", 12: "<d"}
STRING, ARRAY, UINT32 = 8, 9, 4


class Cursor:
    """Reads little-endian values, each inside the file or a FileFormatError that names ``field``."""

    def __init__(self, data: memoryview, path: str) -> None:
        self.data, self.path = data, path
        self.end = min(len(data), MAX_HEADER_BYTES)
        self.position = 0

    def fail(self, field: str, why: str) -> NoReturn:
        raise FileFormatError(self.path, field, why)

    def skip(self, num_bytes: int, field: str) -> int:
        """Move past ``num_bytes``; the position where they start."""
        start = self.position
        if num_bytes > self.end - start:
            limit = "the limit of a header is" if self.end < len(self.data) else "the file ends"
            self.fail(field, f"needs {num_bytes} bytes at byte {start}, but {limit} at byte {self.end}")
        self.position = start + num_bytes
        return start

    def number(self, form: str, field: str) -> int | float:
        found: int | float = struct.unpack_from(form, self.data, self.skip(struct.calcsize(form), field))[0]
        return found

    def uint32(self, field: str) -> int:
        return int(self.number("<I", field))

    def uint64(self, field: str) -> int:
        return int(self.number("<Q", field))

    def text(self, field: str, max_bytes: int) -> str:
        """A string with its length before it."""
        length = self.uint64(field)
        if length > max_bytes:
            self.fail(field, f"has {length} bytes; at most {max_bytes} are possible")
        start = self.skip(length, field)
        try:
            return str(self.data[start : start + length], "utf-8")
        except UnicodeDecodeError as error:
            self.fail(field, f"is not UTF-8 at byte {error.start}")

    def value(self, field: str) -> object:
        """A metadata value. An array is passed over: nothing here needs one."""
        kind = self.uint32(field)
        if kind == STRING:
            return self.text(field, MAX_STRING_BYTES)
        if kind != ARRAY:
            return kind, self.number(self._scalar(kind, field), field)
        item = self.uint32(field)
        count = self.uint64(field)
        if count > MAX_ITEMS:
            self.fail(field, f"has {count} items; at most {MAX_ITEMS} are possible")
        if item == STRING:
            for _ in range(count):
                self.skip(self.uint64(field), field)
        else:
            self.skip(count * struct.calcsize(self._scalar(item, field)), field)
        return None

    def _scalar(self, kind: int, field: str) -> str:
        if kind not in SCALARS:
            self.fail(field, f"has the unknown type {kind}")
        return SCALARS[kind]
