"""What the operations over spatial axes share: the last one, two or three axes of ``[N, C, ...]`` or ``[C, ...]``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ggml.core.errors import ArgumentError, ShapeMismatchError
from ggml.core.node import Shape
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.ops.shape.views import reshape
from ggml.registry.arguments import integer
from ggml.tensors.tensor import Tensor

#: An extent for each spatial axis, or one for all.
Extents = int | Sequence[int]

_LIMIT = 1 << 30


def extents(name: str, value: Any, argument: str, rank: int, low: int = 1) -> Shape:
    """One integer for each of ``rank`` axes, none below ``low``; a single one stands for all."""
    given = list(value) if isinstance(value, (tuple, list)) else [value]
    numbers = tuple(integer(name, one, argument) for one in given)
    if len(numbers) == 1:
        numbers *= rank
    if len(numbers) != rank:
        raise ArgumentError(name, argument, f"must be one integer or {rank}, not {tuple(given)}")
    if any(not low <= number < _LIMIT for number in numbers):
        raise ArgumentError(name, argument, f"must not lie below {low} or above {_LIMIT - 1}: {tuple(given)}")
    return numbers


def need_sane(name: str, *shapes: Sequence[int]) -> None:
    """Refuse what nothing could hold, before its extents leave 64 bits."""
    for shape in shapes:
        if math.prod(extent for extent in shape if extent) >= 1 << 46:
            raise ArgumentError(name, "result", f"would be too large: {tuple(shape)}")


def batched(name: str, x: Tensor, rank: int) -> tuple[Tensor, bool]:
    """The input as [N, C, ...], and whether it had an N."""
    if x.ndim not in (rank + 1, rank + 2):
        raise ShapeMismatchError(name, f"{rank + 1} or {rank + 2} axes", tuple(x.shape))
    return (x, True) if x.ndim == rank + 2 else (reshape(x, (1, *x._node.shape)), False)


def unbatched(x: Tensor, had_batch: bool) -> Tensor:
    """The result without the N that ``batched`` put in front."""
    return x if had_batch else reshape(x, x._node.shape[1:])


def three(numbers: Sequence[int], filling: int) -> Shape:
    """The numbers of one to three axes as those of three."""
    return (filling,) * (3 - len(numbers)) + tuple(numbers)


def planes(b: Builder, value: Value, rank: int) -> Value:
    """The value as [planes, I0, I1, I2]: the last ``rank`` axes are spatial."""
    shape = value.shape
    outer = 1
    for extent in shape[: len(shape) - rank]:
        outer *= extent
    return b.reshape(value, (outer, *three(shape[len(shape) - rank :], 1)))


def arrange(b: Builder, value: Value, low: Shape, stride: Shape, result: Shape, fill: int = 0) -> Value:
    """[planes, I0, I1, I2] to [planes * phases, Q0, Q1, Q2]; see kernels/spatial/spatial.h. ``fill`` is the bits."""
    phases = stride[0] * stride[1] * stride[2]
    if phases == 1 and low == (0, 0, 0) and result == value.shape[1:]:
        return b.dense(value)
    shape = (value.shape[0] * phases, *result)
    return b.emit("arrange", (b.operand(value, value.shape),), value.type, shape, (*low, *stride, fill))
