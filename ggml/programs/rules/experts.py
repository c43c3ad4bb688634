"""Mixtures of experts: rows in the order of their experts, multiplied group by group."""

from __future__ import annotations

from ggml.core.dtypes import DType, int64
from ggml.core.errors import ArgumentError
from ggml.ops.create.factories import arange
from ggml.ops.linalg.grouped import matmul_chosen
from ggml.ops.namespace import TABLE
from ggml.programs.rules.table import lowering
from ggml.registry.arguments import convert, tensor
from ggml.tensors.tensor import Tensor


@lowering("aten._grouped_mm.default")
def grouped_mm(
    input: Tensor, mat2: Tensor, offs: Tensor | None = None, bias: Tensor | None = None, out_dtype: DType | None = None
) -> Tensor:
    """Rows [S, K] times matrices [E, K, N]; ``offs`` [E] says before which row the group of each matrix ends."""
    if offs is None or bias is not None:
        raise ArgumentError("grouped_mm", "offs and bias", "must be the ends of groups of rows, and None")
    found = grouped_rows(input, mat2, offs)
    return found if out_dtype is None else convert(found, out_dtype)


@lowering("transformers.grouped_mm_fallback.default")
def grouped_rows(input: Tensor, weight: Tensor, offs: Tensor) -> Tensor:
    """As above; rows behind the last group are zeros, because no expert is here to see them."""
    rows, ends = tensor("grouped_mm", input), convert(tensor("grouped_mm", offs, "offs"), int64)
    group: Tensor = TABLE["bucketize"].function(arange(rows.shape[0], dtype=int64), ends, right=True)
    last = weight.shape[0] - 1
    found = matmul_chosen(rows, weight, group.clamp(max=last))
    return found.masked_fill((group > last).unsqueeze(-1), 0.0)
