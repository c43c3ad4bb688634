"""Operations that only move elements, or give them another type."""

from __future__ import annotations

from collections.abc import Sequence

from ggml.core.dtypes import DType, bool_
from ggml.core.errors import ArgumentError
from ggml.ops.elementwise.selection import where
from ggml.ops.index.assignment import index_put, put_within
from ggml.ops.index.subscript import getitem
from ggml.programs.rules.table import lowering, same_as
from ggml.registry.arguments import convert, tensor
from ggml.tensors.tensor import Tensor

same_as("reshape", "aten._unsafe_view.default")
same_as("window", "aten.unfold.default")
same_as("torch_constant_pad_nd", "aten.constant_pad_nd.default")
same_as("sign", "aten.sgn.default")


@lowering(
    "aten.clone.default", "aten.alias.default", "aten.contiguous.default", "aten.lift_fresh_copy.default",
    "aten.detach.default", "aten.detach_.default",
)  # fmt: skip
def same(input: Tensor) -> Tensor:
    """No tensor changes within a program, so that a copy is the tensor itself."""
    return tensor("clone", input)


@lowering("aten.copy.default")
def copy(input: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    """What ``input`` holds once ``src``, which broadcasts, is written over it."""
    target = tensor("copy", input)
    return convert(tensor("copy", src, "src"), target.dtype).expand(target.shape)


@lowering("aten._to_copy.default", "aten.to.dtype_layout")
def to_copy(input: Tensor, *, dtype: DType | None = None) -> Tensor:
    return tensor("to", input) if dtype is None else convert(tensor("to", input), dtype)


@lowering("aten.to.dtype")
def to_dtype(input: Tensor, dtype: DType, non_blocking: bool = False, copy: bool = False) -> Tensor:
    return convert(tensor("to", input), dtype)


@lowering("aten.slice.Tensor")
def slice_axis(input: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:
    x = tensor("slice", input)
    if not -x.ndim <= dim < x.ndim:
        raise ArgumentError("slice", "dim", f"{dim} is outside of {x.ndim} axes")
    return getitem(x, (*[slice(None)] * (dim % x.ndim), slice(start, end, step)))


@lowering("aten.index.Tensor")
def index(input: Tensor, indices: Sequence[Tensor | None]) -> Tensor:
    return getitem(tensor("index", input), tuple([slice(None) if one is None else one for one in indices]))


@lowering("aten.index_put.default")
def put_at(input: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False) -> Tensor:
    """``input`` with ``values`` where ``indices`` name elements. An axis that is left out is written whole."""
    x, named = tensor("index_put", input), list(indices)
    if any(isinstance(one, Tensor) and one.dtype is bool_ for one in named):
        given = [(axis, one) for axis, one in enumerate(named) if one is not None]
        return _put_where(x, given, tensor("index_put", values, "values"), accumulate)
    while named and named[-1] is None:
        named.pop()
    if any(one is None for one in named):
        return put_within(x, tuple([slice(None) if one is None else one for one in named]), values, accumulate)
    return index_put(x, [one for one in named if one is not None], values, accumulate)


def _put_where(x: Tensor, named: Sequence[tuple[int, Tensor]], values: Tensor, accumulate: bool) -> Tensor:
    """One mask over the first axes, and values that are the same for each element that it names: how many there are is
    never asked."""
    axis, mask = named[0]
    inner = x.ndim - mask.ndim
    is_one = values.numel() == 1
    if len(named) > 1 or axis or inner < 0 or not (is_one or values.ndim <= inner):
        raise ArgumentError(
            "index_put", "indices", "with a mask must be one over the first axes, for values without it"
        )
    shaped = mask.reshape([*mask.shape, *[1] * inner])
    new = values.reshape(()) if is_one else values
    return where(shaped, x + new if accumulate else new, x)


@lowering("aten.split.sizes")
def split_sizes(input: Tensor, split_size: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    return tensor("split", input).split(list(split_size), dim)


@lowering("aten.sym_size.int")
def extent(input: Tensor, dim: int) -> int:
    return int(tensor("sym_size", input).shape[dim])


@lowering("operator.getitem")
def item(values: Sequence[Tensor], place: int) -> Tensor:
    if not isinstance(values, tuple) or not 0 <= place < len(values):
        raise ArgumentError("getitem", "place", f"{place!r} is none of the results")
    one: Tensor = values[place]
    return one
