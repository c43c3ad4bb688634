"""Operations that make tensors of numbers."""

from __future__ import annotations

from collections.abc import Sequence

from ggml.core.dtypes import DType, float32, int64
from ggml.core.errors import ArgumentError
from ggml.ops.create import factories
from ggml.ops.namespace import TABLE
from ggml.programs.rules.table import lowering
from ggml.registry.arguments import Number
from ggml.tensors.tensor import Tensor

#: Elements of a table that is worked out before a call: more than the positions of any model. Each call keeps its own.
MAX_TABLE = 1 << 24


def _check_table(op: str, count: float) -> None:
    """ArgumentError for a table that a file may ask for by a few bytes, and that no model has."""
    if not count <= MAX_TABLE:
        raise ArgumentError(
            op, "the table", f"has {count:.0f} elements; at most {MAX_TABLE} are worked out on the host"
        )


@lowering("aten.arange.default")
def arange(end: Number, *, dtype: DType | None = None) -> Tensor:
    return arange_from(0, end, dtype=dtype)


@lowering("aten.arange.start", "aten.arange.start_step")
def arange_from(start: Number, end: Number, step: Number = 1, *, dtype: DType | None = None) -> Tensor:
    _check_table("arange", (end - start) / step if step else 0)
    return factories.arange(start, end, step, dtype=dtype)


@lowering("aten.full.default")
def full(size: Sequence[int], fill_value: Number, *, dtype: DType | None = None) -> Tensor:
    return factories.full(size, fill_value, dtype=dtype)


@lowering("aten.zeros.default", "aten.empty.memory_format")
def zeros(size: Sequence[int], *, dtype: DType | None = None) -> Tensor:
    return factories.zeros(size, dtype=dtype or float32)


@lowering("aten.ones.default")
def ones(size: Sequence[int], *, dtype: DType | None = None) -> Tensor:
    return factories.ones(size, dtype=dtype or float32)


@lowering("aten.full_like.default")
def full_like(input: Tensor, fill_value: Number, *, dtype: DType | None = None) -> Tensor:
    return factories.full_like(input, fill_value, dtype=dtype)


@lowering("aten.zeros_like.default", "aten.empty_like.default")
def zeros_like(input: Tensor, *, dtype: DType | None = None) -> Tensor:
    return factories.zeros_like(input, dtype=dtype)


@lowering("aten.ones_like.default")
def ones_like(input: Tensor, *, dtype: DType | None = None) -> Tensor:
    return factories.ones_like(input, dtype=dtype)


@lowering("aten.new_full.default")
def new_full(input: Tensor, size: Sequence[int], fill_value: Number, *, dtype: DType | None = None) -> Tensor:
    return factories.full(size, fill_value, dtype=dtype or input.dtype)


@lowering("aten.new_zeros.default", "aten.new_empty.default")
def new_zeros(input: Tensor, size: Sequence[int], *, dtype: DType | None = None) -> Tensor:
    return factories.zeros(size, dtype=dtype or input.dtype)


@lowering("aten.new_ones.default")
def new_ones(input: Tensor, size: Sequence[int], *, dtype: DType | None = None) -> Tensor:
    return factories.ones(size, dtype=dtype or input.dtype)


@lowering("aten.scalar_tensor.default")
def scalar_tensor(s: Number, *, dtype: DType | None = None) -> Tensor:
    return factories.full((), s, dtype=dtype or float32)


@lowering("aten.linspace.default")
def linspace(start: Number, end: Number, steps: int, *, dtype: DType | None = None) -> Tensor:
    _check_table("linspace", steps)
    return factories.linspace(start, end, steps, dtype=dtype)


@lowering("aten.eye.default", "aten.eye.m")
def eye(n: int, m: int | None = None, *, dtype: DType | None = None) -> Tensor:
    _check_table("eye", n * (n if m is None else m))
    return factories.eye(n, m, dtype=dtype)


@lowering("aten.fill.Scalar", "aten.fill.Tensor")
def fill(input: Tensor, value: Number | Tensor) -> Tensor:
    filled: Tensor = TABLE["fill"].function(input, value)
    return filled


def _triangle(row: str) -> None:
    @lowering(f"aten.{row}.default")
    def rule(rows: int, columns: int, offset: int = 0, *, dtype: DType | None = None) -> Tensor:
        _check_table(row, 2 * rows * columns)
        places: Tensor = TABLE[row].function(rows, columns, offset, dtype=dtype or int64)
        return places


_triangle("tril_indices")
_triangle("triu_indices")
