"""Int32 arrays <-> packed little-endian bytes, which are used where they lie."""

from __future__ import annotations

from operator import ge

import numpy as np

from cluster.api.errors import UsageError
from cluster.messages.step import NO_ROWS, Int32Array
from cluster.wire.limits import check_length, check_range, check_ranges

INT_BYTES = 4
_INT32 = np.dtype("<i4")


def int32_bytes(values: Int32Array) -> bytes:
    return values.astype(_INT32, copy=False).tobytes()


def int32_values(field: str, data: bytes, count: int, high: int, low: int = 0) -> Int32Array:
    """`count` numbers in [low, high], read-only; UsageError names the first that is not."""
    if len(data) != INT_BYTES * count:
        raise UsageError(f"{field}: {len(data)} bytes; {count} int32 take {INT_BYTES * count}")
    values = np.frombuffer(data, _INT32)
    # As a list: while the caches are full of weights, an array's reduction costs more for a few rows than all else.
    check_ranges(field, values.tolist(), low, high)
    return values


def row_numbers(field: str, data: bytes, num_rows: int) -> Int32Array:
    """Some of `num_rows` rows, ascending, read-only; UsageError unless they are."""
    if not data:
        return NO_ROWS
    check_length(field, data, INT_BYTES * num_rows)
    if len(data) % INT_BYTES:
        raise UsageError(f"{field}: {len(data)} bytes; an int32 takes {INT_BYTES}")
    values = np.frombuffer(data, _INT32)
    rows = values.tolist()
    check_range(field, rows[0], 0, num_rows - 1)
    check_range(field, rows[-1], 0, num_rows - 1)
    if any(map(ge, rows, rows[1:])):
        raise UsageError(f"{field}: rows out of order, or one named twice; name them in ascending order")
    return values
