"""How far elements lie from their mean."""

from __future__ import annotations

import math
from typing import Any

from ggml.core import dtypes
from ggml.core.errors import ArgumentError, DTypeError
from ggml.ops.elementwise.pointwise import root
from ggml.ops.reduce.reductions import Dim, mean, sum
from ggml.registry.arguments import axes, convert, number, strictly_floating
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor


def corrected(name: str, dim: Any, unbiased: Any, correction: Any) -> tuple[Dim, float]:
    """The axes of a variance, and by how much less than their elements its sum is divided.

    PyTorch takes ``unbiased`` alone in the place of ``dim``.
    """
    if isinstance(dim, bool) and unbiased is None:
        dim, unbiased = None, dim
    if unbiased is None:
        return dim, 1.0 if correction is None else float(number(name, correction, "correction"))
    if correction is not None:
        raise ArgumentError(name, "correction", "and unbiased say the same; give one of them")
    if not isinstance(unbiased, bool):
        raise DTypeError(name, "a bool as unbiased", type(unbiased).__name__)
    return dim, float(unbiased)


@op(runs="composed", sample="variance")
def var(
    input: Tensor,
    dim: Dim | bool = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The variance: the squared distances from the mean, summed and divided by ``n - correction``."""
    x = strictly_floating("var", input)
    dim, less = corrected("var", dim, unbiased, correction)
    dims = axes("var", dim, x.ndim)
    count = math.prod(x._node.shape[d] for d in dims)
    divisor = float(count) - less
    wide = convert(x, dtypes.float32)
    total = sum((wide - mean(wide, dims or None, True)).pow(2), dims or None, keepdim)
    share = total * math.nan if count == 0 else total / builtin_max(divisor, 0.0)
    return convert(share, x.dtype)


def builtin_max(a: float, b: float) -> float:
    return a if a > b else b


@op(runs="composed", sample="variance")
def std(
    input: Tensor,
    dim: Dim | bool = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The standard deviation: the root of ``var``."""
    x = strictly_floating("std", input)
    dim, less = corrected("std", dim, unbiased, correction)
    spread = var(convert(x, dtypes.float32), dim, None, keepdim, correction=less)
    return convert(root(spread), x.dtype)
