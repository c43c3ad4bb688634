"""``x[...] = value``: the handle gets another value, in which some elements are others. No tensor changes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import PLAIN
from ggml.core.errors import DTypeError, ShapeMismatchError
from ggml.core.node import Node, Shape
from ggml.graph.builder import Builder
from ggml.graph.value import Value, row_major
from ggml.ops.elementwise.selection import where
from ggml.ops.index.indexing import picked
from ggml.ops.index.scatter import lower_scatter, written
from ggml.ops.index.subscript import Index, Subscript, places_of, spelled_out, understood, unread, without_unread
from ggml.ops.shape.views import reshape
from ggml.registry.arguments import Number, convert, fitting, tensor
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor, filled


@dataclass(frozen=True, slots=True)
class _Write:
    """What is written, and how: ``kernel`` puts or adds; ``name`` is for messages."""

    name: str
    value: Tensor
    kernel: str

    def of_shape(self, shape: Shape) -> Tensor:
        """The value broadcast to the elements that are written; axes of 1 in front of them are left out."""
        value, given = self.value, self.value._node.shape
        while len(given) > len(shape) and given[0] == 1:
            given = given[1:]
        fits = len(given) <= len(shape) and all(
            have in (1, want) for have, want in zip(reversed(given), reversed(shape), strict=False)
        )
        if not fits:
            raise ShapeMismatchError(self.name, f"a value that broadcasts to {shape}", value._node.shape)
        return reshape(value, given).expand(shape) if shape else reshape(value, ())

    def must_be(self, x: Tensor) -> None:
        if self.value.dtype is not x.dtype:
            raise DTypeError(self.name, f"a value of {x.dtype} where tensors pick the elements", self.value.dtype)


@op(
    runs="composed",
    sample="setitem",
    dtypes=PLAIN,
    torch="Tensor.__setitem__",
    methods=("__setitem__",),
    differs="The handle gets another value: views and clones that were taken before keep theirs. In a compiled "
    "function a mask works where the value does not depend on how many elements it picks.",
)
def setitem(input: Tensor, index: Index, value: Tensor | Number) -> Tensor:
    """``input[index] = value``: everything that ``input[index]`` takes. Of equal places the last one stays."""
    x = tensor("setitem", input)
    given = value if isinstance(value, Tensor) else filled((), fitting("setitem", value, x.dtype), x.dtype, x.device)
    write = _Write("setitem", tensor("setitem", given, "value"), "put")
    return x._assign(_assigned(x, index if isinstance(index, tuple) else (index,), write), "setitem")


@op(runs="kernel", sample="index_put", lower=lower_scatter, dtypes=PLAIN, widens=False, inplace=True)
def index_put(input: Tensor, indices: Sequence[Tensor], values: Tensor, accumulate: bool = False) -> Tensor:
    """``input`` with ``values`` put (or added) where the tensors ``indices`` say, one for each of the first axes."""
    x, given = tensor("index_put", input), tensor("index_put", values, "values")
    if not isinstance(indices, (tuple, list)) or not indices:
        raise DTypeError("index_put", "a sequence of tensors as indices", type(indices).__name__)
    places = tuple(tensor("index_put", one, "indices") for one in indices)
    is_mask = len(places) == 1 and places[0].dtype is dtypes.bool_ and not accumulate and given.numel() == 1
    if given.dtype is not x.dtype and not is_mask:
        raise DTypeError("index_put", f"values of {x.dtype}", given.dtype)
    return _assigned(x, places, _Write("index_put", given, "add" if accumulate else "put"))


def put_within(input: Tensor, index: tuple[Any, ...], values: Tensor, accumulate: bool = False) -> Tensor:
    """``input`` with ``values`` put (or added) at a subscript of slices and integer tensors, between which axes may
    be left out."""
    x, given = tensor("index_put", input), tensor("index_put", values, "values")
    return _assigned(x, index, _Write("index_put", given, "add" if accumulate else "put"))


def _assigned(x: Tensor, index: tuple[Any, ...], write: _Write) -> Tensor:
    items = spelled_out(write.name, x, index, keep_masks=True)
    masks = [item for item in items if isinstance(item, Tensor) and item.dtype is dtypes.bool_]
    others = [item for item in items if isinstance(item, Tensor) and item.ndim and item.dtype.is_integer]
    if len(masks) == 1 and not others and write.kernel == "put":
        chosen = _masked(x, items, masks[0], write)
        if chosen is not None:
            return chosen
    items = [part for item in items for part in (places_of(write.name, x, item) if _is_in(item, masks) else [item])]
    return _unread_written(x, items, write)


def _is_in(item: Any, tensors: list[Tensor]) -> bool:
    return any(item is one for one in tensors)


def _unread_written(x: Tensor, items: list[Any], write: _Write) -> Tensor:
    """Single places that are not known yet: the slice there is written to, then put back."""
    one = next(iter(unread(items)), None)
    if one is None:
        return _written(x, items, write)
    at, place = one[0], reshape(one[1], (1,))
    rest = list(items)
    rest[next(i for i, item in enumerate(items) if item is one[1])] = 0
    inner = _unread_written(picked(x, at, convert(place, dtypes.int64), True), rest, write)
    places = convert(place, dtypes.int64)
    return written("index_put", x, at, places, inner, "put", may_wrap=True, is_shared=True)


def _written(x: Tensor, items: list[Any], write: _Write) -> Tensor:
    found = understood(write.name, x, without_unread(items))
    if found.advanced is None:
        value = convert(write.of_shape(found.layout), x.dtype)
        if write.kernel == "add":
            value = found.basic(x) + value
        return _put_back(x, found, value)
    write.must_be(x)
    how = found.advanced
    whole = found.basic(x)
    value = write.of_shape(how.shape)
    num = how.places._node.numel
    turned = whole.permute(how.order)
    outer, inner = math.prod(how.before), math.prod(how.after)
    planes = reshape(turned, (outer, math.prod(how.extents), inner))
    places = reshape(how.places, (num,))
    source = reshape(value, (outer, num, inner))
    planes = written("index_put", planes, 1, places, source, write.kernel, may_wrap=True, is_shared=True)
    back = [how.order.index(d) for d in range(len(how.order))]
    return _put_back(x, found, reshape(planes, turned._node.shape).permute(back))


def _masked(x: Tensor, items: list[Any], mask: Tensor, write: _Write) -> Tensor | None:
    """A mask whose count does not matter, because the value is the same along it; else None."""
    at = next(i for i, item in enumerate(items) if item is mask)
    whole = [*items[:at], *[slice(None)] * mask.ndim, *items[at + 1 :]]
    if unread(whole):
        return None
    found = understood(write.name, x, whole)
    if found.advanced is not None:
        return None
    first = sum(item is None or isinstance(item, slice) for item in items[:at])
    after = found.layout[first + mask.ndim :]
    given = write.value._node.shape
    if len(given) > len(after) and given[len(given) - len(after) - 1] != 1:
        return None
    if write.value.dtype is not x.dtype and write.value.numel() != 1:
        write.must_be(x)
    front = given[: max(len(given) - len(after) - 1, 0)]
    behind = given[len(given) - len(after) :] if len(given) > len(after) else given
    wide = (*front, *((1,) * mask.ndim if len(given) > len(after) else ()), *behind)
    value = _Write(write.name, reshape(write.value, wide), "put").of_shape(found.layout)
    chosen = reshape(mask, (*mask.shape, *(1,) * len(after)))
    return _put_back(x, found, where(chosen, convert(value, x.dtype), found.basic(x)))


def _put_back(x: Tensor, found: Subscript, value: Tensor) -> Tensor:
    """``x`` with the elements that ``found`` cuts out in favour of others, given in its layout."""
    value = reshape(value, found.cut)
    if found.is_whole(x._node.shape):
        return value
    steps = row_major(x._node.shape)
    offset = sum(start * stride for start, stride in zip(found.starts, steps, strict=True))
    return pasted(x, value, tuple(step * stride for step, stride in zip(found.steps, steps, strict=True)), offset)


def _lower_paste(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    return b.paste(b.dense(values[0]), values[1], *params)


@op(runs="kernel", sample="internal", lower=_lower_paste, dtypes=PLAIN, methods=(), widens=False)
def pasted(input: Tensor, source: Tensor, strides: tuple[int, ...], offset: int) -> Tensor:
    """``input`` with ``source`` at a pattern of strides over its elements; the caller has checked both."""
    if not source._node.numel:
        return input._alias()
    return make("pasted", (input, source), (strides, offset), input._node.shape, input._node.dtype)
