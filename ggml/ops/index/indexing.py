"""Picking elements by place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import F32, PLAIN
from ggml.core.errors import ArgumentError, DTypeError, IndexOutOfRangeError, ShapeMismatchError
from ggml.core.node import Node
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.ops.elementwise.selection import where
from ggml.ops.shape.views import reshape
from ggml.registry.arguments import broadcast, convert, integer, tensor
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor, filled
from ggml.tensors.transfer import axis


def index_tensor(name: str, value: Any, argument: str = "index") -> Tensor:
    """Integer indices as int64."""
    places = tensor(name, value, argument)
    if not places.dtype.is_integer:
        raise DTypeError(name, f"an integer {argument}", places.dtype)
    return convert(places, dtypes.int64)


def _lower_index_select(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    at, may_wrap = params
    value, places = values
    shape = value.shape
    inner = math.prod(shape[at + 1 :])
    flat = b.reshape(value, (math.prod(shape[:at]), shape[at], inner))
    if not b.device.is_cpu and flat.shape[0] == 1 and value.type == F32:
        return b.take_rows(flat.reshape_to(flat.shape[1:]), places, may_wrap).reshape_to(node.shape)
    return b.take(flat, places, may_wrap).reshape_to(node.shape)


@op(runs="mixed", sample="index_select", lower=_lower_index_select, dtypes=PLAIN, widens=False)
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices along ``dim`` that ``index`` names, in its order."""
    x, places = tensor("index_select", input), index_tensor("index_select", index)
    if places.ndim > 1:
        raise ShapeMismatchError("index_select", "an index with one axis", tuple(places.shape))
    at = axis("index_select", dim, x.ndim)
    if not x.ndim:
        if places.numel() != 1:
            raise ShapeMismatchError("index_select", "one index for a tensor without axes", tuple(places.shape))
        x = reshape(x, (1,))
        return reshape(picked(x, 0, places, False), ())
    return picked(x, at, places, False)


def picked(x: Tensor, at: int, places: Tensor, may_wrap: bool) -> Tensor:
    shape, count = x._node.shape, places._node.numel
    if shape[at] == 0 and count:
        raise IndexOutOfRangeError("index_select", f"there is nothing to pick along dim {at} of {shape}")
    result = (*shape[:at], count, *shape[at + 1 :])
    return make("index_select", (x, places), (at, may_wrap), result, x._node.dtype)


def _lower_gather(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    if not node.shape:
        return b.gather(values[0].reshape_to((1,)), values[1].reshape_to((1,))).reshape_to(())
    at, last = params[0], len(node.shape) - 1
    source, places = values[0], values[1]
    cut = tuple(source.shape[d] if d == at else extent for d, extent in enumerate(node.shape))
    source = source.cut([0] * len(cut), [1] * len(cut), cut)
    return b.gather(source.swap(at, last), places.swap(at, last)).swap(at, last)


@op(runs="kernel", sample="gather", lower=_lower_gather, dtypes=PLAIN, widens=False)
def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """For each place of ``index`` the element along ``dim`` that it names. ``sparse_grad`` only matters to training."""
    x, places = tensor("gather", input), index_tensor("gather", index)
    at = axis("gather", dim, x.ndim)
    shape, wanted = x._node.shape, places._node.shape
    if 0 in wanted:
        return filled(wanted, 0, x.dtype, x.device)
    if len(shape) != len(wanted) or any(wanted[d] > shape[d] for d in range(len(shape)) if d != at):
        raise ShapeMismatchError("gather", f"an index no larger than {shape} but for dim {at}", wanted)
    if 0 in shape and places._node.numel:
        raise IndexOutOfRangeError("gather", f"there is nothing to pick along dim {at} of {shape}")
    return make("gather", (x, places), (at,), wanted, x._node.dtype)


@op(
    runs="composed",
    sample="take_along_dim",
    dtypes=PLAIN,
    differs="With ``dim`` indices count from the end where they are negative, and those outside the axis are an error; "
    "PyTorch takes their remainder.",
)
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """As ``gather``, with the other axes broadcast."""
    x, places = tensor("take_along_dim", input), index_tensor("take_along_dim", indices, "indices")
    if dim is None:
        return gather(x.flatten(), 0, places.flatten())
    if x.ndim != places.ndim:
        raise ShapeMismatchError("take_along_dim", f"{x.ndim} axes", tuple(places.shape))
    at = axis("take_along_dim", dim, x.ndim)
    if not x.ndim:
        return gather(x, 0, places)
    places = where(places.lt(0), places + x.shape[at], places)  # counted from the end, unlike in gather
    drop = [tuple(1 if d == at else extent for d, extent in enumerate(one._node.shape)) for one in (x, places)]
    shape = list(broadcast("take_along_dim", *drop))
    wide = [x.expand([*shape[:at], x.shape[at], *shape[at + 1 :]])]
    return gather(wide[0], at, places.expand([*shape[:at], places.shape[at], *shape[at + 1 :]]))


@op(runs="composed", sample="unravel_index", dtypes=(dtypes.int64, dtypes.int32), methods=())
def unravel_index(indices: Tensor, shape: int | Sequence[int]) -> tuple[Tensor, ...]:
    """The places in each axis of elements that are counted in row-major order."""
    x = tensor("unravel_index", indices, "indices")
    if not x.dtype.is_integer:
        raise DTypeError("unravel_index", "integers", x.dtype)
    x = convert(x, dtypes.int64)
    named = shape if isinstance(shape, (tuple, list)) else [shape]
    extents = [integer("unravel_index", one, "shape") for one in named]
    if any(extent < 0 for extent in extents):
        raise ArgumentError("unravel_index", "shape", f"has a negative extent: {extents}")
    places: list[Tensor] = []
    step = 1
    for extent in reversed(extents):
        places.insert(0, (x // step) % max(extent, 1))
        step *= max(extent, 1)
    return tuple(places)
