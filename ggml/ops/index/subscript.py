"""``x[...]``: what an index of integers, slices, ``...``, None, integer tensors and masks means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ggml.core import dtypes, tracing
from ggml.core.dtypes import PLAIN
from ggml.core.errors import ArgumentError, DTypeError, IndexOutOfRangeError
from ggml.core.node import Node, Shape
from ggml.ops.index.indexing import index_tensor, picked
from ggml.ops.shape.cutting import strided_slice
from ggml.ops.shape.views import reshape
from ggml.registry.arguments import broadcast, tensor
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor, wrap
from ggml.tensors.transfer import upload

Index = Any


@dataclass(frozen=True, slots=True)
class NewAxis:
    """A single bool: a new axis of extent 1 that is picked once or not at all."""

    places: Tensor


@dataclass(frozen=True, slots=True)
class Advanced:
    """Integer tensors in some axes of a layout. ``order`` brings their axes together, ``front`` axes before them."""

    places: Tensor  # into the merged axes, with the shape that all broadcast to
    order: list[int]
    front: int
    before: list[int]
    extents: list[int]
    after: list[int]

    @property
    def shape(self) -> Shape:
        """The shape of what is picked."""
        return (*self.before, *self.places._node.shape, *self.after)


@dataclass(frozen=True, slots=True)
class Subscript:
    """A cut of every axis, the same elements in a layout with new axes and without picked ones, and what is picked
    from that."""

    starts: list[int]
    steps: list[int]
    cut: Shape
    layout: Shape
    advanced: Advanced | None

    def is_whole(self, shape: Shape) -> bool:
        """Whether nothing is cut off."""
        return self.cut == shape and not any(self.starts) and all(step == 1 for step in self.steps)

    def basic(self, x: Tensor) -> Tensor:
        """The elements before tensors pick from them."""
        if not self.is_whole(x._node.shape):
            x = strided_slice(x, self.starts, self.steps, self.cut)
        return x if self.layout == x._node.shape else reshape(x, self.layout)


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
    items = spelled_out("getitem", x, index if isinstance(index, tuple) else (index,))
    for at, place in unread(items):
        x = picked(x, at, reshape(place, (1,)), True)
    found = understood("getitem", x, without_unread(items))
    whole = found.basic(x)
    if found.advanced is None:
        return whole
    how = found.advanced
    whole = reshape(whole.permute(how.order), (*how.before, math.prod(how.extents), *how.after))
    places = reshape(how.places, (how.places._node.numel,))
    return reshape(picked(whole, how.front, places, True), how.shape)


def as_index(name: str, item: Any, x: Tensor) -> Any:
    """Lists and arrays as tensors, single bools as new axes; numbers and slices as they are."""
    if isinstance(item, (list, np.ndarray)):
        array = np.asarray(item)
        if array.size == 0 and array.dtype.kind == "f":
            array = array.astype(np.int64)
        if array.dtype == np.bool_:
            item = wrap(upload(array.astype(np.float32), dtypes.bool_, x.device))
        elif array.dtype.kind not in "iu":
            raise DTypeError(name, "integers or bools as index", array.dtype)
        else:
            item = wrap(upload(array.astype(np.int64), dtypes.int64, x.device))
    if isinstance(item, Tensor):
        if item.dtype is dtypes.bool_ and not item.ndim:
            item = bool(item)
        elif item.dtype.is_integer and not item.ndim and not _is_unread(item._node):
            return int(item.item())
    if isinstance(item, (bool, np.bool_)):
        return NewAxis(wrap(upload(np.zeros(int(item), np.int64), dtypes.int64, x.device)))
    return item


def _is_unread(node: Node) -> bool:
    """Whether there is no value yet: a function is being compiled."""
    return tracing.is_active() and node.buffer is None


def spelled_out(name: str, x: Tensor, index: Sequence[Any], keep_masks: bool = False) -> list[Any]:
    """One item for each axis, and those that make new ones: masks become indices, ``...`` is filled in."""
    items: list[Any] = []
    used = 0
    for given in index:
        item = as_index(name, given, x)
        parts = [item]
        if isinstance(item, Tensor) and item.dtype is dtypes.bool_:
            check_mask(name, x, item, _first_axis(x, index, given, used))
            parts = [item] if keep_masks else places_of(name, x, item)
        items += parts
        used += 0 if item is None or item is ... or isinstance(item, NewAxis) else _num_axes(item)
    if used > x.ndim:
        raise IndexOutOfRangeError(name, f"{used} indices for {x.ndim} axes")
    if sum(item is ... for item in items) > 1:
        raise IndexOutOfRangeError(name, "more than one ellipsis")
    at = next((i for i, item in enumerate(items) if item is ...), len(items))
    return [*items[:at], *[slice(None)] * (x.ndim - used), *items[at + 1 :]]


def _num_axes(item: Any) -> int:
    """The axes of the input that an item takes."""
    return item.ndim if isinstance(item, Tensor) and item.dtype is dtypes.bool_ else 1


def _first_axis(x: Tensor, index: Sequence[Any], mask: Any, used: int) -> int:
    """The axis that a mask begins at: behind an ellipsis it is counted from the end."""
    place = next(i for i, item in enumerate(index) if item is mask)
    if not any(item is ... for item in index[:place]):
        return used
    behind = 0
    for item in (as_index("getitem", item, x) for item in index[place:]):
        behind += 0 if item is None or item is ... or isinstance(item, NewAxis) else _num_axes(item)
    return x.ndim - behind


def check_mask(name: str, x: Tensor, mask: Tensor, first_axis: int) -> None:
    shape = mask._node.shape
    if first_axis < 0 or shape != x._node.shape[first_axis : first_axis + len(shape)]:
        raise IndexOutOfRangeError(name, f"a mask of {shape} for {x._node.shape} from axis {first_axis} on")


def places_of(name: str, x: Tensor, mask: Tensor) -> list[Any]:
    """Where a mask is set, one index for each of its axes. It is read."""
    if _is_unread(mask._node):
        from ggml.graph.executor import compute

        compute([mask._node], name)
    return [wrap(upload(places.astype(np.int64), dtypes.int64, x.device)) for places in np.nonzero(mask.numpy())]


def unread(items: list[Any]) -> list[tuple[int, Tensor]]:
    """(axis, index) of the single integers whose value is not there yet."""
    axes = [item for item in items if item is not None and not isinstance(item, NewAxis)]
    return [(at, item) for at, item in enumerate(axes) if _is_one_place(item)]


def _is_one_place(item: Any) -> bool:
    return isinstance(item, Tensor) and item.dtype.is_integer and not item.ndim


def without_unread(items: list[Any]) -> list[Any]:
    """The same items once these were picked: place 0 of what is left of their axes."""
    return [0 if _is_one_place(item) else item for item in items]


def understood(name: str, x: Tensor, items: list[Any]) -> Subscript:
    """The subscript that the items, one for each axis, are."""
    starts: list[int] = []
    steps: list[int] = []
    cut: list[int] = []
    layout: list[int] = []
    advanced: list[tuple[int, Tensor]] = []
    axes = iter(x._node.shape)
    for item in items:
        if item is None or isinstance(item, NewAxis):
            if item is not None:
                advanced.append((len(layout), item.places))
            layout.append(1)
            continue
        extent = next(axes)
        start, step, count = 0, 1, extent
        if isinstance(item, slice):
            start, step, count = _range_of(name, item, extent)
            layout.append(count)
        elif isinstance(item, Tensor):
            advanced.append((len(layout), index_tensor(name, item)))
            layout.append(extent)
        else:
            start, count = _place_in(name, item, extent), 1
        starts.append(start)
        steps.append(step)
        cut.append(count)
    how = _together(name, tuple(layout), advanced) if advanced else None
    return Subscript(starts, steps, tuple(cut), tuple(layout), how)


def _place_in(name: str, item: Any, extent: int) -> int:
    if isinstance(item, bool) or not hasattr(item, "__index__"):
        raise DTypeError(name, "integers, slices, ..., None or tensors as index", type(item).__name__)
    place: int = item.__index__()
    if not -extent <= place < extent:
        raise IndexOutOfRangeError(name, f"index {place} is out of bounds for size {extent}")
    return place % extent


def _range_of(name: str, item: slice, extent: int) -> tuple[int, int, int]:
    try:
        start, stop, step = item.indices(extent)
    except (TypeError, ValueError):
        raise ArgumentError(name, "slice", f"has bounds that are no integers, or a step of 0: {item}") from None
    if step < 0:
        raise ArgumentError(name, "step", f"must be positive: {step}; use flip")
    count = max(0, -(-(stop - start) // step))
    return (start if count else 0), step, count


def _together(name: str, layout: Shape, advanced: list[tuple[int, Tensor]]) -> Advanced:
    """Tensors are broadcast against each other; their axes come where the first one stood, or first of all where
    others stand between them."""
    axes = [at for at, _ in advanced]
    shape = broadcast(name, *(places._node.shape for _, places in advanced))
    extents = [layout[at] for at in axes]
    is_together = axes == list(range(axes[0], axes[0] + len(axes)))
    front = axes[0] if is_together else 0
    rest = [d for d in range(len(layout)) if d not in axes]
    places = _flat_places([places for _, places in advanced], extents, shape)
    before, after = [layout[d] for d in rest[:front]], [layout[d] for d in rest[front:]]
    return Advanced(places, [*rest[:front], *axes, *rest[front:]], front, before, extents, after)


def _flat_places(indices: list[Tensor], extents: list[int], shape: Shape) -> Tensor:
    """One index into the merged axes. Each is checked, and counted from the front, on its own."""
    if 0 in shape:
        return wrap(upload(np.zeros(shape, np.int64), dtypes.int64, indices[0].device))
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
    return reshape(picked(count, 0, reshape(places, (-1,)), True), tuple(places.shape))
