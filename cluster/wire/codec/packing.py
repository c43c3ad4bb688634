"""Int32 arrays <-> packed little-endian bytes, which are used where they lie."""

from __future__ import annotations

import numpy as np

from cluster.api.errors import UsageError
from cluster.messages.step import Int32Array
from cluster.wire.limits import check_ranges

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
