"""Products of matrices where they lie, without a transposed copy of either side."""

from __future__ import annotations

import math
from dataclasses import replace

from ggml.core.dtypes import F32, of_ggml_type
from ggml.graph.builder import Builder
from ggml.graph.value import Value, coalesce
from worker_native import pays_to_pack

# The kernel writes whole vectors of columns.
_VECTOR = 16
# With fewer rows or elements of a row the panels of the right side take longer than the transposed copy.
_LEAST_ROWS, _LEAST_COLUMNS = 8, 32


def strided_product(b: Builder, left: Value, right: Value) -> Value | None:
    """[..., M, K] times [..., K, N] with outer axes that are equal or 1, where a kernel of this library reads both as
    they lie; None where ggml's product, which wants rows on both sides, is as good.

    A quantised right side has to lie in rows along N; it is dequantised panel by panel, never whole.
    """
    if not b.device.is_cpu or left.type != F32:
        return None
    if of_ggml_type(right.type).is_quantized:
        return _emitted(b, left, right) if _lies_in_rows(right) else None
    if right.type != F32 or not pays_to_pack():
        return None
    rank, (rows, columns) = len(left.shape), (left.shape[-2], right.shape[-1])
    if _lies_in_rows(right) and rows >= _LEAST_ROWS and columns >= _LEAST_COLUMNS:
        return _emitted(b, left, right)
    # The transposed product of what is transposed: its columns are the rows of this one.
    turned = left.swap(rank - 1, rank - 2)
    if _lies_in_rows(turned) and columns >= _LEAST_ROWS and rows >= _LEAST_COLUMNS:
        found = _emitted(b, right.swap(rank - 1, rank - 2), turned)
        return None if found is None else found.swap(rank - 1, rank - 2)
    return None


def _lies_in_rows(right: Value) -> bool:
    """Whether vectors of elements along the last axis lie side by side, and those along the axis before do not."""
    block = of_ggml_type(right.type).block
    aligned = (right.offset, right.shape[-1], *right.strides[:-1])
    is_turned = right.strides[-2] == 1 and right.shape[-2] > 1
    return (
        right.strides[-1] == 1
        and not is_turned
        and right.shape[-1] % _VECTOR == 0
        and not any(n % block for n in aligned)
    )


def _emitted(b: Builder, left: Value, right: Value) -> Value | None:
    (rows, depth), columns = left.shape[-2:], right.shape[-1]
    outer = tuple(max(one, two) for one, two in zip(left.shape[:-2], right.shape[:-2], strict=True))
    shape = (*outer, rows, columns)
    if math.prod(right.shape[:-2]) == 1 and outer:  # one right side for all: the rows are one long matrix
        left = b.reshape(left, (math.prod(outer) * rows, depth))
        right = replace(right, shape=right.shape[-2:], strides=right.strides[-2:])
        outer, rows = (), left.shape[0]
    left, right = left.expand((*outer, rows, depth)), right.expand((*outer, depth, columns))
    planes, strides = coalesce(outer, (left.strides[:-2], right.strides[:-2]))
    if len(planes) > 2 or min((*left.strides, *right.strides)) < 0:
        return None
    missing = 2 - len(planes)
    over_left, over_right = ((0,) * missing + pattern for pattern in strides)
    planes = (1,) * missing + planes
    params = (
        *planes, rows, depth, columns, *over_left, *left.strides[-2:], left.offset, *over_right, right.strides[-2],
        right.offset,
    )  # fmt: skip
    found = b.emit("product", (left.step, right.step), F32, (*planes, rows, columns), params)
    return found.reshape_to(shape)
