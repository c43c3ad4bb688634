"""Numbers in order, equally far apart in their logarithm."""

from __future__ import annotations

from typing import Any

import numpy as np

from ggml import dtypes
from ggml.dtypes import DType
from ggml.errors import ArgumentError
from ggml.ops.arguments import Number, as_dtype, integer, number, sizes
from ggml.ops.limits import on_host
from ggml.table import op
from ggml.tensor import Tensor


@op(runs="host", sample="logspace", methods=())
def logspace(
    start: Number, end: Number, steps: int, base: float = 10.0, *, dtype: DType | None = None, device: Any = None
) -> Tensor:
    """``steps`` powers of ``base``, from ``base ** start`` to ``base ** end``, both included."""
    from ggml.factories import put

    (count,) = sizes("logspace", (integer("logspace", steps, "steps"),), "steps")
    on_host("logspace", "steps", count)
    first, last = float(number("logspace", start, "start")), float(number("logspace", end, "end"))
    root = float(number("logspace", base, "base"))
    if not root >= 0:
        raise ArgumentError("logspace", "base", f"must not be negative: {base}")
    kind = dtypes.float32 if dtype is None else as_dtype("logspace", dtype)
    with np.errstate(all="ignore"):
        return put(root ** np.linspace(first, last, count), kind, device)
