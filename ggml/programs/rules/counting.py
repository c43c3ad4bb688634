"""Operations that count elements, where how many counts there are is known before the data."""

from __future__ import annotations

from ggml.core.dtypes import int64
from ggml.core.errors import ArgumentError
from ggml.ops.create.factories import full, zeros
from ggml.ops.elementwise.selection import where
from ggml.ops.namespace import TABLE
from ggml.programs.rules.table import lowering
from ggml.registry.arguments import Number, convert, strictly_floating
from ggml.tensors.tensor import Tensor


@lowering("aten.histc.default")
def histc(input: Tensor, bins: int = 100, min: Number = 0, max: Number = 0) -> Tensor:
    """How many elements lie in each of ``bins`` equal parts of [min, max]; of their own range if the two are equal."""
    if bins < 1 or min > max:
        raise ArgumentError("histc", "bins and range", f"must be positive and ascending, not {bins} in [{min}, {max}]")
    x = strictly_floating("histc", input).float().reshape(-1)
    low, high = (full((), x_end) for x_end in (float(min), float(max)))
    if min == max and x.numel():
        low, high = x.amin(), x.amax()
        is_point = low == high
        low, high = where(is_point, low - 1, low), where(is_point, high + 1, high)
    is_inside = (x >= low) & (x <= high)
    part = convert((where(is_inside, x, low) - low) * bins / (high - low), int64).clamp(max=bins - 1)
    counts: Tensor = TABLE["scatter_add"].function(zeros(bins), 0, part, is_inside.float())
    return convert(counts, input.dtype)
