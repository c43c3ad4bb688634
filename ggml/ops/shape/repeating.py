"""Elements and tensors several times in a row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ggml.core import tracing
from ggml.core.dtypes import PLAIN, int64
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.core.node import Node
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.ops.shape.cutting import real_axis
from ggml.ops.shape.views import Extents, expand, flatten, reshape
from ggml.registry.arguments import integer, several, sizes, tensor
from ggml.registry.limits import on_host
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor, wrap
from ggml.tensors.transfer import upload


def _lower_repeat(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    value, counts = values[0], params[0]
    value = value.expand((1,) * (len(counts) - len(value.shape)) + value.shape)
    for at, count in enumerate(counts):
        if count > 1:
            # One axis at a time: together they could be more axes than a copy can walk.
            outer, extent = value.shape[:at], value.shape[at]
            flat = b.reshape(value, (math.prod(outer), 1, math.prod(value.shape[at:])))
            wide = flat.expand((flat.shape[0], count, flat.shape[2]))
            value = b.reshape(wide, (*outer, count * extent, *value.shape[at + 1 :]))
    return value


@op(runs="kernel", sample="repeat", lower=_lower_repeat, dtypes=PLAIN, torch="Tensor.repeat", widens=False)
def repeat(input: Tensor, *times: Any, repeats: Extents | None = None) -> Tensor:
    """The whole tensor that many times along each axis; more numbers than axes make new ones in front."""
    x = tensor("repeat", input)
    counts = sizes("repeat", several("repeat", "repeats", times, repeats), "repeats")
    if len(counts) < x.ndim:
        raise ShapeMismatchError("repeat", f"at least {x.ndim} numbers", counts)
    padded = (1,) * (len(counts) - x.ndim) + x._node.shape
    shape = sizes("repeat", [count * extent for count, extent in zip(counts, padded, strict=True)], "repeats")
    return make("repeat", (x,), (counts,), shape, x._node.dtype)


@op(runs="composed", sample="repeat_short", dtypes=PLAIN)
def tile(input: Tensor, *times: Any, dims: Extents | None = None) -> Tensor:
    """As ``repeat``; fewer numbers than axes leave the first axes alone."""
    x = tensor("tile", input)
    counts = sizes("tile", several("tile", "dims", times, dims), "dims")
    return repeat(x, (1,) * (x.ndim - len(counts)) + counts)


@op(runs="composed", sample="repeat_interleave", dtypes=PLAIN)
def repeat_interleave(
    input: Tensor, repeats: int | Tensor | None = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each element that many times in a row, along ``dim`` or over all elements.

    ``repeats`` may hold a count for each element along ``dim``, which is read. With counts alone: the places of their
    elements. ``output_size`` is the extent of the result; it has no effect but that it must be right.
    """
    name = "repeat_interleave"
    x = tensor(name, input)
    if repeats is None:
        if x.ndim != 1 or not x.dtype.is_integer:
            raise DTypeError(name, "counts: integers with one axis", f"{x.dtype} {tuple(x.shape)}")
        places = wrap(upload(np.arange(x.numel()), int64, x.device))
        return _by_counts(places, 0, x, output_size)
    if dim is None:
        return repeat_interleave(flatten(x), repeats, 0, output_size=output_size)
    at = real_axis(name, x, dim)
    shape = x._node.shape
    if isinstance(repeats, Tensor) and repeats.numel() != 1:
        return _by_counts(x, at, repeats, output_size)
    count = integer(name, repeats, "repeats")
    if count < 0:
        raise ArgumentError(name, "repeats", f"must not be negative: {count}")
    if output_size is not None and integer(name, output_size, "output_size") != count * shape[at]:
        raise ArgumentError(name, "output_size", f"is {output_size}; the repeats add up to {count * shape[at]}")
    flat = reshape(x, (math.prod(shape[: at + 1]), 1, math.prod(shape[at + 1 :])))
    wide = expand(flat, (flat.shape[0], count, flat.shape[2]))
    return reshape(wide, (*shape[:at], shape[at] * count, *shape[at + 1 :]))


def _by_counts(x: Tensor, at: int, counts: Tensor, output_size: Any) -> Tensor:
    """Each slice along an axis as often as its own count says."""
    name, extent = "repeat_interleave", x._node.shape[at]
    if not counts.dtype.is_integer:
        raise DTypeError(name, "integers as repeats", counts.dtype)
    if tuple(counts.shape) != (extent,):
        raise ShapeMismatchError(name, f"one count for each of {extent} elements", tuple(counts.shape))
    tracing.refuse(name)
    times = counts.numpy()
    if bool((times < 0).any()):
        raise ArgumentError(name, "repeats", "must not be negative")
    total = int(times.sum(dtype=np.float64))
    on_host(name, "repeats", total)
    if output_size is not None and integer(name, output_size, "output_size") != total:
        raise ArgumentError(name, "output_size", f"is {output_size}; the repeats add up to {total}")
    places = np.repeat(np.arange(extent), times)
    return x.index_select(at, wrap(upload(places, int64, x.device)))
