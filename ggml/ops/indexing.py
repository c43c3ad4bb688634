"""Picking elements by place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ggml import dtypes
from ggml.dtypes import F32, PLAIN
from ggml.errors import ArgumentError, DTypeError, IndexOutOfRangeError, ShapeMismatchError
from ggml.host import axis, upload
from ggml.lowering.builder import Builder
from ggml.lowering.value import Value
from ggml.node import Node
from ggml.ops.arguments import broadcast, convert, tensor
from ggml.ops.shape import reshape, strided_slice
from ggml.table import make, op
from ggml.tensor import Tensor, wrap


def _indices(name: str, value: Any, argument: str = "index") -> Tensor:
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
    x, places = tensor("index_select", input), _indices("index_select", index)
    if places.ndim > 1:
        raise ShapeMismatchError("index_select", "an index with one axis", tuple(places.shape))
    at = axis("index_select", dim, x.ndim)
    if not x.ndim:
        x = reshape(x, (1,))
        return reshape(_picked(x, 0, places, False), tuple(places.shape) if places.ndim == 0 else (places.numel(),))
    return _picked(x, at, places, False)


def _picked(x: Tensor, at: int, places: Tensor, may_wrap: bool) -> Tensor:
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
def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """For each place of ``index`` the element along ``dim`` that it names."""
    x, places = tensor("gather", input), _indices("gather", index)
    at = axis("gather", dim, x.ndim)
    shape, wanted = x._node.shape, places._node.shape
    if len(shape) != len(wanted) or any(wanted[d] > shape[d] for d in range(len(shape)) if d != at):
        raise ShapeMismatchError("gather", f"an index no larger than {shape} but for dim {at}", wanted)
    if 0 in shape and places._node.numel:
        raise IndexOutOfRangeError("gather", f"there is nothing to pick along dim {at} of {shape}")
    return make("gather", (x, places), (at,), wanted, x._node.dtype)


@op(runs="composed", sample="take_along_dim", dtypes=PLAIN)
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """As ``gather``, with the other axes broadcast."""
    x, places = tensor("take_along_dim", input), _indices("take_along_dim", indices, "indices")
    if dim is None:
        return gather(x.flatten(), 0, places.flatten())
    if x.ndim != places.ndim:
        raise ShapeMismatchError("take_along_dim", f"{x.ndim} axes", tuple(places.shape))
    at = axis("take_along_dim", dim, x.ndim)
    if not x.ndim:
        return gather(x, 0, places)
    drop = [tuple(1 if d == at else extent for d, extent in enumerate(one._node.shape)) for one in (x, places)]
    shape = list(broadcast("take_along_dim", *drop))
    wide = [x.expand([*shape[:at], x.shape[at], *shape[at + 1 :]])]
    return gather(wide[0], at, places.expand([*shape[:at], places.shape[at], *shape[at + 1 :]]))


# x[...]

Index = Any


@op(
    runs="composed",
    sample="getitem",
    dtypes=PLAIN,
    torch="Tensor.__getitem__",
    methods=("__getitem__",),
    differs="A mask of bools is read on the host, so it cannot be used in a compiled function.",
)
def getitem(input: Tensor, index: Index) -> Tensor:
    """``input[index]``: integers, slices, ``...``, None, integer tensors and masks."""
    x = tensor("getitem", input)
    items = _spelled_out(x, index if isinstance(index, tuple) else (index,))
    starts, steps, shape, layout, advanced = _walk(x, items)
    if any(s != 0 for s in starts) or any(s != 1 for s in steps) or shape != x._node.shape:
        x = strided_slice(x, starts, steps, shape)
    if not advanced:
        return x if layout == shape else reshape(x, layout)
    return _advanced(x, layout, advanced)


def _as_index(item: Any, x: Tensor) -> Any:
    """Lists and arrays as tensors; numbers and slices as they are."""
    if isinstance(item, (list, np.ndarray)):
        array = np.asarray(item)
        if array.size == 0:
            array = array.astype(np.int64)
        if array.dtype == np.bool_:
            return wrap(upload(array.astype(np.float32), dtypes.bool_, x.device))
        if array.dtype.kind not in "iu":
            raise DTypeError("getitem", "integers or bools as index", array.dtype)
        return wrap(upload(array.astype(np.int64), dtypes.int64, x.device))
    return item


def _spelled_out(x: Tensor, index: tuple[Any, ...]) -> list[Any]:
    """One item for each axis, and None for each new one: masks become indices, ``...`` is filled in."""
    items: list[Any] = []
    for item in (_as_index(item, x) for item in index):
        is_mask = isinstance(item, Tensor) and item.dtype is dtypes.bool_
        if is_mask or isinstance(item, bool):
            items += _places_of(x, item, sum(one is not None and one is not ... for one in items))
        else:
            items.append(item)
    used = sum(item is not None and item is not ... for item in items)
    if used > x.ndim:
        raise IndexOutOfRangeError("getitem", f"{used} indices for {x.ndim} axes")
    if sum(item is ... for item in items) > 1:
        raise IndexOutOfRangeError("getitem", "more than one ellipsis")
    at = next((i for i, item in enumerate(items) if item is ...), len(items))
    return [*items[:at], *[slice(None)] * (x.ndim - used), *items[at + 1 :]]


def _places_of(x: Tensor, mask: Any, first_axis: int) -> list[Any]:
    if isinstance(mask, bool):
        raise DTypeError("getitem", "an index that is no single bool", mask)
    shape = tuple(mask.shape)
    if shape != tuple(x.shape[first_axis : first_axis + len(shape)]):
        raise IndexOutOfRangeError("getitem", f"a mask of {shape} for {tuple(x.shape)} from axis {first_axis} on")
    if not shape:
        raise DTypeError("getitem", "a mask with axes", shape)
    return [wrap(upload(places.astype(np.int64), dtypes.int64, x.device)) for places in np.nonzero(mask.numpy())]


def _walk(x: Tensor, items: list[Any]) -> tuple[list[int], list[int], Any, Any, list[tuple[int, Tensor]]]:
    """The basic part as starts, steps and shape; the layout of its result; and (place in it, indices)."""
    starts: list[int] = []
    steps: list[int] = []
    shape: list[int] = []
    layout: list[int] = []
    advanced: list[tuple[int, Tensor]] = []
    axes = iter(x._node.shape)
    for item in items:
        if item is None:
            layout.append(1)
            continue
        extent = next(axes)
        start, step, count = 0, 1, extent
        if isinstance(item, slice):
            start, step, count = _range_of(item, extent)
            layout.append(count)
        elif isinstance(item, Tensor) and item.ndim > 0:
            advanced.append((len(layout), _indices("getitem", item)))
            layout.append(extent)
        else:
            start, count = _place_in(item, extent), 1
        starts.append(start)
        steps.append(step)
        shape.append(count)
    return starts, steps, tuple(shape), tuple(layout), advanced


def _place_in(item: Any, extent: int) -> int:
    if isinstance(item, bool) or not hasattr(item, "__index__"):
        raise DTypeError("getitem", "integers, slices, ..., None or tensors as index", type(item).__name__)
    place: int = item.__index__()
    if not -extent <= place < extent:
        raise IndexOutOfRangeError("getitem", f"index {place} is out of bounds for size {extent}")
    return place % extent


def _range_of(item: slice, extent: int) -> tuple[int, int, int]:
    try:
        start, stop, step = item.indices(extent)
    except (TypeError, ValueError):
        raise ArgumentError("getitem", "slice", f"has bounds that are no integers, or a step of 0: {item}") from None
    if step < 0:
        raise ArgumentError("getitem", "step", f"must be positive: {step}; use flip")
    count = max(0, -(-(stop - start) // step))
    return (start if count else 0), step, count


def _advanced(x: Tensor, layout: tuple[int, ...], advanced: list[tuple[int, Tensor]]) -> Tensor:
    """Integer tensors in some axes, broadcast against each other; their axes come where the first one stood,
    or first of all where others stand between them."""
    x = reshape(x, layout)
    axes = [at for at, _ in advanced]
    shape = broadcast("getitem", *(places._node.shape for _, places in advanced))
    extents = [layout[at] for at in axes]
    is_together = axes == list(range(axes[0], axes[0] + len(axes)))
    front = axes[0] if is_together else 0
    rest = [d for d in range(len(layout)) if d not in axes]
    x = x.permute([*rest[:front], *axes, *rest[front:]])
    before, after = [layout[d] for d in rest[:front]], [layout[d] for d in rest[front:]]
    flat = reshape(x, (*before, math.prod(extents), *after))
    places = _flat_places([places for _, places in advanced], extents, shape)
    picked = _picked(flat, len(before), reshape(places, (-1,)) if places.numel() else reshape(places, (0,)), True)
    return reshape(picked, (*before, *shape, *after))


def _flat_places(indices: list[Tensor], extents: list[int], shape: tuple[int, ...]) -> Tensor:
    """One index into the merged axes. Each is checked, and counted from the front, on its own."""
    if len(indices) == 1:
        return indices[0].expand(shape)
    flat: Tensor | None = None
    for places, extent in zip(indices, extents, strict=True):
        whole = _checked(places, extent).expand(shape)
        flat = whole if flat is None else flat * extent + whole
    assert flat is not None
    return flat


def _checked(places: Tensor, extent: int) -> Tensor:
    """Places in [0, extent); others are an error when they are computed."""
    count = wrap(upload(np.arange(extent), dtypes.int64, places.device))
    if places.numel() == 0:
        return places
    return reshape(_picked(count, 0, reshape(places, (-1,)), True), tuple(places.shape))


def _lower_embedding(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    places, weight = values
    if not b.device.is_cpu or weight.type not in (dtypes.F32, dtypes.F16, dtypes.BF16):
        return b.take_rows(weight, places, False).reshape_to(node.shape)
    return b.take(b.reshape(weight, (1, *weight.shape)), places, False).reshape_to(node.shape)


@op(
    runs="mixed",
    sample="embedding",
    lower=_lower_embedding,
    dtypes=dtypes.INTEGER,
    torch="nn.functional.embedding",
    methods=(),
    widens=False,
    differs="The weight may be quantised; its rows come out as float32.",
)
def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """Rows of ``weight`` [n, width] that ``input`` names. ``padding_idx`` only matters to training."""
    places = _indices("embedding", input, "input")
    if not isinstance(weight, Tensor) or weight.dtype.is_integer:
        raise DTypeError("embedding", "a floating or quantised weight", getattr(weight, "dtype", weight))
    if weight.ndim != 2:
        raise ShapeMismatchError("embedding", "a weight with two axes", tuple(weight.shape))
    if weight.shape[0] == 0 and places.numel():
        raise IndexOutOfRangeError("embedding", "the weight has no rows")
    dtype = dtypes.float32 if weight.dtype.is_quantized else weight.dtype
    return make("embedding", (places, weight), (), (*places._node.shape, weight.shape[1]), dtype)
