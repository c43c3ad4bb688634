"""Many elements to one: along rows, along columns, or in parts where there is but one long row."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ggml.graph.builder import Builder
from ggml.graph.program import kernel_results
from ggml.graph.value import Value

# A reduction whose partial results, of parts of equal length, are reduced by the kernel named here.
_IN_PARTS = {"sum": "sum", "mean": "mean", "max": "max", "min": "min", "any": "any", "all": "all"}
_LONG_ROW = 1 << 18  # elements that are worth being shared out among threads
_PARTS = (16, 12, 10, 8, 6, 5, 4, 3, 2)
_NARROW = 16  # columns that are not worth a stripe of their own


def to_rows(b: Builder, value: Value, dims: Sequence[int]) -> Value:
    """The axes ``dims`` merged into one, at the end."""
    kept = [d for d in range(len(value.shape)) if d not in dims]
    count = math.prod(value.shape[d] for d in dims)
    return b.reshape(value.permute([*kept, *dims]), (*(value.shape[d] for d in kept), count))


def reduce(b: Builder, kernel: str, value: Value, dims: Sequence[int]) -> Value:
    """Our reduction of that name along the axes ``dims``, dense: those left over are in their order."""
    if not b.device.is_cpu:
        return b.row_kernel("reduce", kernel, to_rows(b, value, dims))
    columns = _as_columns(kernel, value, dims)
    if columns is not None:
        outer, _, inner = columns.shape
        result = kernel_results("reduce_columns")[kernel, value.type]
        source = b.operand(columns, columns.shape)
        return b.emit(f"reduce_columns:{kernel}", (source,), result, (outer, 1, inner))
    rows = to_rows(b, value, dims)
    parts = _num_parts(kernel, rows)
    if parts > 1:
        parted = b.row_kernel("reduce", kernel, b.reshape(rows, (parts, rows.numel // parts)))
        return b.row_kernel("reduce", _IN_PARTS[kernel], parted.reshape_to((1, parts)))
    return b.row_kernel("reduce", kernel, rows)


def _as_columns(kernel: str, value: Value, dims: Sequence[int]) -> Value | None:
    """The value as [outer, n, inner], n of them reduced, if that takes no copy and there is a kernel for it."""
    first, last = (min(dims), max(dims)) if dims else (0, -1)
    inner = math.prod(value.shape[last + 1 :])
    is_block = value.is_dense and 0 < last - first + 1 == len(dims)
    if not is_block or inner < _NARROW or (kernel, value.type) not in kernel_results("reduce_columns"):
        return None
    return value.reshape_to((math.prod(value.shape[:first]), math.prod(value.shape[first : last + 1]), inner))


def _num_parts(kernel: str, rows: Value) -> int:
    """Into how many equal parts the only row is cut; 1 where that is not worth it."""
    if kernel not in _IN_PARTS or rows.numel < _LONG_ROW or rows.shape[-1] != rows.numel:
        return 1
    return next((parts for parts in _PARTS if rows.numel % parts == 0), 1)
