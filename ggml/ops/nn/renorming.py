"""Rows of a weight that must not be longer than a norm."""

from __future__ import annotations

from typing import Any

from ggml.core import dtypes, tracing
from ggml.core.errors import DTypeError
from ggml.core.grad_mode import no_grad
from ggml.ops.elementwise.selection import where
from ggml.ops.reduce.reductions import norm
from ggml.registry.arguments import convert, number
from ggml.tensors.tensor import Tensor, filled


def renormalise(name: str, weight: Tensor, places: Tensor, max_norm: Any, norm_type: Any) -> None:
    """Scale the rows that ``places`` name and that are longer than ``max_norm``: ``weight`` takes the result.

    The norm is the ``norm_type``-norm. In place as in PyTorch, so it cannot be compiled.
    """
    if not weight.dtype.is_floating_point:
        raise DTypeError(name, "a floating weight where max_norm is given", weight.dtype)
    tracing.refuse(name)
    most, power = float(number(name, max_norm, "max_norm")), float(number(name, norm_type, "norm_type"))
    if not places.numel():
        return
    is_named = filled((weight.shape[0],), 0, dtypes.float32, weight.device).index_fill(0, places.flatten(), 1.0)
    with no_grad():
        rows = convert(weight, dtypes.float32)
        length = norm(rows, power, 1, True)
        is_long = length.gt(most).logical_and(is_named.unsqueeze(1))
        weight._assign(convert(rows * where(is_long, most / (length + 1e-7), 1.0), weight.dtype), name)
