"""Float32 rows <-> raw little-endian bytes, split at rows so that no message grows over its limit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cluster.api.errors import UsageError
from cluster.messages.step import Float32Array
from cluster.wire.limits import PART_BYTES

_FLOAT32 = np.dtype("<f4")
_FLOAT_BYTES = 4


def row_parts(rows: Float32Array) -> Iterator[Float32Array]:
    """Rows [R, W] in parts of whole rows of at most PART_BYTES (but at least one row); each lies in one piece."""
    num_rows, width = rows.shape
    step = max(1, PART_BYTES // (width * _FLOAT_BYTES))
    for first in range(0, num_rows, step):
        part = rows if num_rows <= step else rows[first : first + step]
        yield part.astype(_FLOAT32, order="C", copy=False)


def split_rows(rows: Float32Array) -> Iterator[bytes]:
    """The bytes of each of `row_parts`."""
    return (part.tobytes() for part in row_parts(rows))


class RowAssembly:
    """Collects the parts of one array [R, W]; a part that is all of it is used where it lies."""

    def __init__(self, field: str, num_rows: int, width: int) -> None:
        self._field = field
        self._num_rows = num_rows
        self._width = width
        self._array: Float32Array | None = None
        self._num_filled = 0

    @property
    def is_complete(self) -> bool:
        return self._num_filled == self._num_rows

    def add(self, data: bytes) -> None:
        """Takes one part; UsageError unless it is whole rows and no more than are missing."""
        got, rest = divmod(len(data), self._width * _FLOAT_BYTES)
        missing = self._num_rows - self._num_filled
        if rest or got > missing or not got:
            raise UsageError(
                f"{self._field}: a part of {len(data)} bytes; "
                f"it must be 1 to {missing} rows of {self._width * _FLOAT_BYTES} bytes"
            )
        part = np.frombuffer(data, _FLOAT32).reshape(got, self._width)
        if got == self._num_rows:
            self._array = part
        else:
            if self._array is None:
                self._array = np.empty((self._num_rows, self._width), np.float32)
            self._array[self._num_filled : self._num_filled + got] = part
        self._num_filled += got

    def take(self) -> Float32Array:
        """The array [R, W], once it is complete; it may be read-only, and nobody else changes it."""
        if self._array is None:  # no rows
            return np.empty((self._num_rows, self._width), np.float32)
        return self._array
