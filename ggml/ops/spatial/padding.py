"""More elements at the ends of axes."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from ggml.core import dtypes
from ggml.core.dtypes import PLAIN, DType
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.core.node import Node, Shape
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.ops.shape.concatenation import cat
from ggml.ops.shape.cutting import flip, narrow
from ggml.ops.shape.views import expand
from ggml.ops.spatial.axes import arrange
from ggml.registry.arguments import integer, number, tensor
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor, filled
from ggml.tensors.transfer import to_storage

_LIMIT = 1 << 30


def _bits(value: float, dtype: DType) -> int:
    """The bits of an element, as a parameter."""
    raw = to_storage(np.array(value), dtype).tobytes()
    return struct.unpack("<q", raw.ljust(8, b"\0"))[0]  # type: ignore[no-any-return]


def _lower_constant_pad(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    low, high, fill = params
    value, rank = values[0], len(node.shape)
    cut = tuple(extent + min(a, 0) + min(z, 0) for extent, a, z in zip(value.shape, low, high, strict=True))
    value = value.cut([max(-a, 0) for a in low], [1] * rank, cut)
    changed = [d for d in range(rank) if node.shape[d] != cut[d]]
    while changed:
        # Three axes at once where they are the last ones of those that change; else those from the last one on.
        last = changed[-1]
        first = max(last - 2, 0)
        value = _pad_axes(b, value, first, last, low, node.shape, fill)
        changed = [d for d in changed if d < first]
    return value


def _pad_axes(b: Builder, value: Value, first: int, last: int, low: Shape, result: Shape, fill: int) -> Value:
    """The axes ``first`` to ``last`` brought to the extents of ``result``."""
    inner = math.prod(value.shape[last + 1 :])
    own = list(value.shape[first : last + 1])
    starts = [max(a, 0) for a in low[first : last + 1]]
    wanted = list(result[first : last + 1])
    if inner > 1 and len(own) == 3:
        return _pad_axes(b, _pad_axes(b, value, first + 1, last, low, result, fill), first, first, low, result, fill)
    if inner > 1:
        own, starts, wanted = [*own, inner], [*starts, 0], [*wanted, inner]
    missing = 3 - len(own)
    shape = (math.prod(value.shape[:first]), *(1,) * missing, *own)
    source = b.reshape(value, shape)
    low3, result3 = (0,) * missing + tuple(starts), (1,) * missing + tuple(wanted)
    padded = arrange(b, source, low3, (1, 1, 1), result3, fill)
    return padded.reshape_to((*value.shape[:first], *result[first : last + 1], *value.shape[last + 1 :]))


@op(runs="kernel", sample="internal", lower=_lower_constant_pad, dtypes=PLAIN, methods=(), widens=False)
def constant_pad(input: Tensor, low: Shape, high: Shape, value: float) -> Tensor:
    """``low[d]`` elements of ``value`` before each axis and ``high[d]`` behind it; negative numbers cut."""
    x = tensor("pad", input)
    shape = x._node.shape
    result = tuple(extent + a + z for extent, a, z in zip(shape, low, high, strict=True))
    fits = all(extent + min(a, 0) + min(z, 0) >= 0 for extent, a, z in zip(shape, low, high, strict=True))
    if not fits or any(extent < 0 for extent in result):
        raise ShapeMismatchError("pad", f"no more cut than there is of {shape}", tuple(zip(low, high, strict=True)))
    if math.prod(extent for extent in result if extent) >= 1 << 46:
        raise ArgumentError("pad", "pad", f"makes the result too large: {result}")
    if not any(low) and not any(high):
        return x
    if any(extent + min(a, 0) + min(z, 0) == 0 for extent, a, z in zip(shape, low, high, strict=True)):
        return filled(result, value, x._node.dtype, x._node.device)
    return make("constant_pad", (x,), (tuple(low), tuple(high), _bits(value, x._node.dtype)), result, x._node.dtype)


def _sides(name: str, pad: Any, rank: int) -> tuple[list[int], list[int]]:
    """What comes before and behind each axis, from PyTorch's list: the last axis first."""
    if not isinstance(pad, (tuple, list)):
        raise DTypeError(name, "a sequence of integers as pad", type(pad).__name__)
    numbers = [integer(name, one, "pad") for one in pad]
    if len(numbers) % 2 or len(numbers) > 2 * rank:
        raise ArgumentError(name, "pad", f"must be pairs, at most {rank} of them: {tuple(numbers)}")
    if any(abs(one) >= _LIMIT for one in numbers):
        raise ArgumentError(name, "pad", f"is too large: {tuple(numbers)}")
    low, high = [0] * rank, [0] * rank
    for place in range(len(numbers) // 2):
        low[rank - 1 - place], high[rank - 1 - place] = numbers[2 * place], numbers[2 * place + 1]
    return low, high


def _reflected(x: Tensor, at: int, low: int, high: int) -> Tensor:
    extent = x._node.shape[at]
    if max(low, high) >= extent:
        raise ShapeMismatchError("pad", f"a reflection narrower than the {extent} elements of dim {at}", (low, high))
    parts = [flip(narrow(x, at, 1, low), at)] if low > 0 else []
    parts.append(_cropped(x, at, low, high))
    parts += [flip(narrow(x, at, extent - 1 - high, high), at)] if high > 0 else []
    return cat(parts, at)


def _replicated(x: Tensor, at: int, low: int, high: int) -> Tensor:
    shape = x._node.shape

    def repeated(place: int, count: int) -> Tensor:
        return expand(narrow(x, at, place, 1), (*shape[:at], count, *shape[at + 1 :]))

    parts = [repeated(0, low)] if low > 0 else []
    parts.append(_cropped(x, at, low, high))
    parts += [repeated(shape[at] - 1, high)] if high > 0 else []
    return cat(parts, at)


def _wrapped(x: Tensor, at: int, low: int, high: int) -> Tensor:
    kept = _cropped(x, at, low, high)
    extent = kept._node.shape[at]
    if max(low, high) > extent:
        raise ShapeMismatchError("pad", f"no more than the {extent} elements of dim {at} once around", (low, high))
    parts = [narrow(kept, at, extent - low, low)] if low > 0 else []
    parts.append(kept)
    parts += [narrow(kept, at, 0, high)] if high > 0 else []
    return cat(parts, at)


def _cropped(x: Tensor, at: int, low: int, high: int) -> Tensor:
    start, cut = max(-low, 0), max(-low, 0) + max(-high, 0)
    return narrow(x, at, start, x._node.shape[at] - cut) if cut else x


_MODES = {"reflect": _reflected, "replicate": _replicated, "circular": _wrapped}


def _pad_by_elements(x: Tensor, mode: str, low: list[int], high: list[int], given: int) -> Tensor:
    """The modes that read the input: over the last axes, with a batch in front or without."""
    rank = given // 2
    if rank not in (1, 2, 3) or x.ndim not in (rank + 1, rank + 2):
        rule = f"{mode} padding of the last 1, 2 or 3 axes, with one or two axes in front"
        raise ShapeMismatchError("pad", rule, (tuple(x.shape), given))
    if mode != "circular" and x.dtype is dtypes.bool_:
        raise DTypeError("pad", f"numbers for {mode!r}", x.dtype)
    if 0 in x._node.shape[x.ndim - rank - 1 :]:
        raise ShapeMismatchError("pad", "elements along every axis but the batch", tuple(x.shape))
    for at in range(x.ndim - rank, x.ndim):
        if x._node.shape[at] + low[at] + high[at] < 1:
            raise ShapeMismatchError("pad", f"something left of dim {at}", tuple(x.shape))
    for at in range(x.ndim - rank, x.ndim):
        if low[at] or high[at]:
            x = _MODES[mode](x, at, low[at], high[at])
    return x


@op(runs="composed", sample="pad", dtypes=PLAIN, torch="nn.functional.pad", methods=())
def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Elements added at the ends of the last axes: ``(before, behind)`` of the last one, then of the one before it.

    ``mode`` is ``constant``, ``reflect``, ``replicate`` or ``circular``. Negative numbers cut.
    """
    x = tensor("pad", input)
    low, high = _sides("pad", pad, x.ndim)
    if mode == "constant":
        fill = 0 if value is None else number("pad", value, "value")
        return constant_pad(x, tuple(low), tuple(high), _element(fill, x.dtype))
    if not isinstance(mode, str) or mode not in _MODES:
        raise ArgumentError("pad", "mode", f"must be 'constant', 'reflect', 'replicate' or 'circular', not {mode!r}")
    if value is not None and value != 0:
        raise ArgumentError("pad", "value", f"is of no use with mode {mode!r}")
    return _pad_by_elements(x, mode, low, high, len(pad))


def _element(fill: float, dtype: DType) -> float:
    """A fill that the dtype can hold, as PyTorch converts it."""
    if dtype is dtypes.bool_:
        return bool(fill)
    if not dtype.is_integer:
        return fill
    if fill != fill or abs(fill) == math.inf:
        raise ArgumentError("pad", "value", f"is no {dtype.name}: {fill}")
    limit = 1 << (dtype.itemsize * 8 - 1)
    if not -limit <= int(fill) < limit:
        raise ArgumentError("pad", "value", f"is no {dtype.name}: {fill}")
    return int(fill)
