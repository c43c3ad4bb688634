"""Float32 rows <-> raw little-endian bytes, split at rows so that no message grows over its limit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cluster.errors import UsageError
from cluster.messages import Float32Array
from cluster.wire.limits import PART_BYTES

_FLOAT_BYTES = 4


def split_rows(rows: Float32Array) -> Iterator[bytes]:
    """The bytes of rows [R, W], in parts of whole rows of at most PART_BYTES (but at least one row)."""
    num_rows, width = rows.shape
    step = max(1, PART_BYTES // (width * _FLOAT_BYTES))
    for first in range(0, num_rows, step):
        yield rows[first : first + step].astype("<f4", copy=False).tobytes()


class RowAssembly:
    """Collects the parts of one array [R, W] into memory that was allocated once."""

    def __init__(self, field: str, num_rows: int, width: int) -> None:
        self._field = field
        self._array = np.empty((num_rows, width), np.float32)
        self._num_filled = 0

    @property
    def is_complete(self) -> bool:
        return self._num_filled == len(self._array)

    def add(self, data: bytes) -> None:
        """Copies one part; UsageError unless it is whole rows and no more than are missing."""
        num_rows, width = self._array.shape
        got, rest = divmod(len(data), width * _FLOAT_BYTES)
        missing = num_rows - self._num_filled
        if rest or got > missing or not got:
            raise UsageError(
                f"{self._field}: a part of {len(data)} bytes; "
                f"it must be 1 to {missing} rows of {width * _FLOAT_BYTES} bytes"
            )
        part = np.frombuffer(data, "<f4").reshape(got, width)
        self._array[self._num_filled : self._num_filled + got] = part
        self._num_filled += got

    def take(self) -> Float32Array:
        """The array [R, W]; it belongs to the caller."""
        return self._array
