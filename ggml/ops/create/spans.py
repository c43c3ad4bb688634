"""Numbers in order, equally far apart in their logarithm."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from ggml.core.dtypes import DType
from ggml.core.errors import ArgumentError
from ggml.ops.create.factories import between, put
from ggml.ops.create.options import Place, Spare, wish
from ggml.registry.arguments import Number, number
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor


@op(runs="host", sample="logspace", methods=())
def logspace(
    start: Number, end: Number, steps: int, base: float = 10.0, *, dtype: DType | None = None, device: Place = None,
    **options: Unpack[Spare],
) -> Tensor:  # fmt: skip
    """``steps`` powers of ``base``, from ``base ** start`` to ``base ** end``, both included."""
    wanted = wish("logspace", options, Spare, dtype, device)
    root = float(number("logspace", base, "base"))
    if not root >= 0:
        raise ArgumentError("logspace", "base", f"must not be negative: {base}")
    with np.errstate(all="ignore"):
        powers = root ** between("logspace", start, end, steps, wanted.dtype)
    return wanted.settle(put(powers, wanted.dtype, wanted.device))
