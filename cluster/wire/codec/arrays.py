"""Named arrays <-> the parts in which they travel."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from cluster.api.errors import UsageError
from cluster.messages.program import Array, Arrays, Bytes
from cluster.wire import limits
from cluster.wire.limits import check_length, check_name, check_range
from protos import arrays_pb2

# Bytes of an element outside, by the name of its type: what programs take and give.
ITEM_BYTES = {"bool": 1, "float32": 4, "float16": 2, "bfloat16": 2, "int32": 4, "int64": 8}


def array_parts(arrays: Arrays) -> Iterator[arrays_pb2.ArraysPart]:
    """The parts of these arrays, one at least. Their elements are read while the parts are taken."""
    headers = [arrays_pb2.ArrayHeader(name=name, dtype=one.dtype, shape=one.shape) for name, one in arrays.items()]
    pieces = _pieces([one.data for one in arrays.values()])
    yield arrays_pb2.ArraysPart(arrays=headers, data=next(pieces, b""))
    for piece in pieces:
        yield arrays_pb2.ArraysPart(data=piece)


def _pieces(parts: Sequence[Bytes]) -> Iterator[bytes]:
    """The bytes of all arrays, small ones together, in pieces of at most PART_BYTES."""
    waiting: list[bytes] = []
    size = 0
    for data in parts:
        for begin in range(0, len(data), limits.PART_BYTES):
            piece = data[begin : begin + limits.PART_BYTES]
            if size + len(piece) > limits.PART_BYTES:
                yield b"".join(waiting)
                waiting, size = [], 0
            waiting.append(piece.tobytes())
            size += len(piece)
    if waiting:
        yield b"".join(waiting)


class ArraysAssembly:
    """Puts the arrays of one call together. What is announced is checked before room is made for it."""

    def __init__(self, field: str, headers: Sequence[arrays_pb2.ArrayHeader]) -> None:
        """UsageError names what is out of bounds."""
        check_length(f"{field}s", headers, limits.MAX_ARRAYS)
        self._field = field
        self._headers = {_checked_name(field, one.name): one for one in headers}
        if len(self._headers) != len(headers):
            raise UsageError(f"{field}: two of one name; give each name once")
        self._sizes = [_num_bytes(f"{field} {name!a}", one) for name, one in self._headers.items()]
        self._num_bytes = check_range(f"{field}s.bytes", sum(self._sizes), 0, limits.MAX_CALL_BYTES)
        self._data: Bytes | None = None
        self._num_filled = 0

    @property
    def shapes(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """The dtype and shape of each array, by name."""
        return {name: (one.dtype, tuple(one.shape)) for name, one in self._headers.items()}

    @property
    def is_complete(self) -> bool:
        return self._num_filled == self._num_bytes

    def add(self, data: bytes) -> None:
        """The next bytes; UsageError for more than are missing."""
        if not data:
            if not self.is_complete:
                raise UsageError(f"{self._field}s: a part without data; {self._missing} bytes are missing")
            return
        if len(data) > self._missing:
            raise UsageError(f"{self._field}s: {len(data)} bytes where {self._missing} are missing; send those")
        given = np.frombuffer(data, np.uint8)
        if len(given) == self._num_bytes:
            self._data = given
        else:
            if self._data is None:
                self._data = np.empty(self._num_bytes, np.uint8)
            self._data[self._num_filled : self._num_filled + len(given)] = given
        self._num_filled += len(given)

    @property
    def _missing(self) -> int:
        return self._num_bytes - self._num_filled

    def take(self) -> dict[str, Array]:
        """The arrays, once they are complete."""
        data = np.empty(0, np.uint8) if self._data is None else self._data
        found, begin = {}, 0
        for (name, header), size in zip(self._headers.items(), self._sizes, strict=True):
            found[name] = Array(header.dtype, tuple(header.shape), data[begin : begin + size])
            begin += size
        return found


def _checked_name(field: str, name: str) -> str:
    return check_name(f"{field}.name", name)


def _num_bytes(field: str, header: arrays_pb2.ArrayHeader) -> int:
    if header.dtype not in ITEM_BYTES:
        raise UsageError(f"{field}: unknown dtype {header.dtype[:40]!a}; it must be one of {', '.join(ITEM_BYTES)}")
    check_length(f"{field}.shape", header.shape, limits.MAX_RANK)
    item_bytes = ITEM_BYTES[header.dtype]
    # The extents of an array without elements are within the limit, too: no library has larger ones.
    check_range(f"{field}.bytes", math.prod(filter(None, header.shape)) * item_bytes, 0, limits.MAX_CALL_BYTES)
    return math.prod(header.shape) * item_bytes
