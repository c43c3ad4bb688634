"""Tensors put side by side, cut apart along named axes, and brought to one shape."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ggml.core import dtypes
from ggml.core.dtypes import PLAIN
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.ops.shape.concatenation import cat, stack
from ggml.ops.shape.cutting import flip, narrow, split
from ggml.ops.shape.permuting import transpose
from ggml.ops.shape.views import flatten, reshape
from ggml.registry.arguments import broadcast, choice, convert, integer, result_type, tensor
from ggml.registry.limits import on_host
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor, filled, wrap
from ggml.tensors.transfer import axis, upload


def _several(name: str, tensors: Any) -> list[Tensor]:
    """A list of tensors from ``f(a, b)`` or ``f((a, b))``."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tensors[0]
    return [tensor(name, one, "tensors") for one in tensors]


def _at_least(rank: int, text: str) -> Callable[..., Any]:
    name = f"atleast_{rank}d"

    def grown(x: Tensor) -> Tensor:
        shape = tuple(x.shape)
        if len(shape) >= rank:
            return x
        wanted = {0: (1,) * rank, 1: (1, *shape, 1)[:rank] if rank > 1 else shape, 2: (*shape, 1)}[len(shape)]
        return reshape(x, wanted)

    def function(*tensors: Any) -> Tensor | tuple[Tensor, ...]:
        if len(tensors) == 1 and isinstance(tensors[0], Tensor):
            return grown(tensor(name, tensors[0], "tensors"))
        if len(tensors) == 1 and not isinstance(tensors[0], (tuple, list)):
            raise DTypeError(name, "tensors", type(tensors[0]).__name__)
        return tuple(grown(one) for one in _several(name, tensors))

    function.__name__, function.__doc__ = name, text
    return op(runs="composed", sample="atleast", dtypes=PLAIN, methods=())(function)


atleast_1d = _at_least(1, "With one axis at least.")
atleast_2d = _at_least(2, "With two axes at least: a row of vectors.")
atleast_3d = _at_least(3, "With three axes at least: new ones around a vector, behind a matrix.")


def _side_by_side(name: str, grow: Callable[..., Any], at: Callable[[Tensor], int], text: str) -> Callable[..., Tensor]:
    def function(tensors: Sequence[Tensor]) -> Tensor:
        if not isinstance(tensors, (tuple, list)) or not tensors:
            raise ArgumentError(name, "tensors", "must be a sequence of at least one tensor")
        parts = [grow(tensor(name, one, "tensors")) for one in tensors]
        return cat(parts, at(parts[0]))

    function.__name__, function.__doc__ = name, text
    return op(runs="composed", sample="side_by_side", dtypes=PLAIN, methods=())(function)


hstack = _side_by_side("hstack", atleast_1d, lambda x: min(x.ndim - 1, 1), "Joined along axis 1; vectors along axis 0.")
vstack = _side_by_side("vstack", atleast_2d, lambda x: 0, "Joined along axis 0; vectors are rows.")
dstack = _side_by_side("dstack", atleast_3d, lambda x: 2, "Joined along axis 2.")
column_stack = _side_by_side(
    "column_stack",
    lambda x: x if x.ndim > 1 else reshape(x, (x.numel(), 1)),
    lambda x: 1,
    "Joined along axis 1; vectors are columns.",
)


@op(runs="composed", sample="tensor_split", dtypes=PLAIN)
def tensor_split(input: Tensor, indices_or_sections: int | Sequence[int] | Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """So many pieces, the first ones longer by one where it does not divide evenly; or cut before these places."""
    x = tensor("tensor_split", input)
    if not x.ndim:
        raise ShapeMismatchError("tensor_split", "at least one axis", ())
    at = axis("tensor_split", dim, x.ndim)
    extent, places = x.shape[at], indices_or_sections
    if isinstance(places, Tensor):
        if places.dtype is not dtypes.int64 or places.ndim > 1:
            raise DTypeError("tensor_split", "int64 with at most one axis", f"{places.dtype} {tuple(places.shape)}")
        places = places.tolist()
    if isinstance(places, (tuple, list)):
        cuts = [integer("tensor_split", place, "indices") for place in places]
        bounds = [min(max(cut + extent if cut < 0 else cut, 0), extent) for cut in cuts]
    else:
        count = integer("tensor_split", places, "sections")
        if count < 1:
            raise ArgumentError("tensor_split", "sections", f"must be positive: {count}")
        on_host("tensor_split", "sections", count)
        small, longer = divmod(extent, count)
        bounds = list(itertools.accumulate(small + (piece < longer) for piece in range(count - 1)))
    pairs = zip([0, *bounds], [*bounds, extent], strict=True)
    return tuple(narrow(x, at, begin, max(end - begin, 0)) for begin, end in pairs)


def _axis_split(name: str, least: int, at: Callable[[Tensor], int], text: str) -> Callable[..., tuple[Tensor, ...]]:
    def function(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
        x = tensor(name, input)
        if x.ndim < least:
            raise ShapeMismatchError(name, f"at least {least} axes", tuple(x.shape))
        if not isinstance(indices_or_sections, (tuple, list)):
            count = integer(name, indices_or_sections, "sections")
            if count < 1 or x.shape[at(x)] % count:
                raise ArgumentError(name, "sections", f"must divide {x.shape[at(x)]}: {count}")
        return tensor_split(x, indices_or_sections, at(x))

    function.__name__, function.__doc__ = name, text
    return op(runs="composed", sample="axis_split", dtypes=PLAIN)(function)


hsplit = _axis_split("hsplit", 1, lambda x: min(x.ndim - 1, 1), "Cut along axis 1; a vector along axis 0.")
vsplit = _axis_split("vsplit", 2, lambda x: 0, "Cut along axis 0.")
dsplit = _axis_split("dsplit", 3, lambda x: 2, "Cut along axis 2.")


@op(runs="composed", sample="broadcast_tensors", dtypes=PLAIN, methods=())
def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """All expanded to the shape that they broadcast to."""
    parts = _several("broadcast_tensors", tensors)
    if not parts:
        return ()
    shape = broadcast("broadcast_tensors", *(one._node.shape for one in parts))
    return tuple(one.expand(shape) for one in parts)


@op(runs="composed", sample="meshgrid", dtypes=PLAIN, methods=())
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """For each vector a tensor of the shape of all: what it is along its own axis. ``indexing`` "xy" swaps two."""
    parts = _several("meshgrid", tensors)
    if indexing is not None:
        choice("meshgrid", "indexing", indexing, ("ij", "xy"))
    if not parts or any(one.ndim > 1 for one in parts) or len({one.dtype for one in parts}) > 1:
        raise ShapeMismatchError("meshgrid", "vectors of one dtype", [tuple(one.shape) for one in parts])
    swaps = indexing == "xy" and len(parts) > 1
    if swaps:
        parts[:2] = parts[1::-1]
    shape = tuple(one.numel() for one in parts)
    grids = [
        reshape(one, (*[1] * place, shape[place], *[1] * (len(shape) - place - 1))).expand(shape)
        for place, one in enumerate(parts)
    ]
    if swaps:
        grids[:2] = grids[1::-1]
    return tuple(grids)


@op(runs="composed", sample="vectors", dtypes=PLAIN, methods=())
def cartesian_prod(*tensors: Any) -> Tensor:
    """Every choice of one element from each vector, as rows; the last vector changes fastest."""
    parts = _several("cartesian_prod", tensors)
    if not parts or any(one.ndim != 1 for one in parts):
        raise ShapeMismatchError("cartesian_prod", "vectors", [tuple(one.shape) for one in parts])
    if len(parts) == 1:
        return parts[0]
    return stack([flatten(grid) for grid in meshgrid(*parts, indexing="ij")], 1)


@op(runs="composed", sample="combinations", dtypes=PLAIN, methods=())
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """Every choice of ``r`` elements of a vector in their order, as rows."""
    x, count = tensor("combinations", input), integer("combinations", r, "r")
    if x.ndim != 1:
        raise ShapeMismatchError("combinations", "a vector", tuple(x.shape))
    if count < 0:
        raise ArgumentError("combinations", "r", f"must not be negative: {r}")
    if count == 0:
        return x.narrow(0, 0, 0)
    num_places = math.comb(x.shape[0] + (count - 1) * bool(with_replacement), count) * count if x.shape[0] else 0
    on_host("combinations", "r", num_places)
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    places = np.array(list(choose(range(x.shape[0]), count)), np.int64).reshape(-1, count)
    picked = x.index_select(0, wrap(upload(places.reshape(-1), dtypes.int64, x.device)))
    return reshape(picked, places.shape)


@op(runs="composed", sample="block_diag", dtypes=PLAIN, methods=())
def block_diag(*tensors: Any) -> Tensor:
    """The matrices along the diagonal, 0 elsewhere; vectors are rows."""
    parts = [tensor("block_diag", one, "tensors") for one in tensors]
    if not parts:
        raise ArgumentError("block_diag", "tensors", "must be at least one")
    if any(one.ndim > 2 for one in parts):
        raise ShapeMismatchError("block_diag", "matrices, vectors or numbers", [tuple(one.shape) for one in parts])
    dtype = result_type(*parts)
    blocks = [convert(atleast_2d(one), dtype) for one in parts]
    width, rows, left = sum(block.shape[1] for block in blocks), [], 0
    for block in blocks:
        height, here = tuple(block.shape)
        sides = [filled((height, extent), 0, dtype, block.device) for extent in (left, width - left - here)]
        rows.append(cat([sides[0], block, sides[1]], 1))
        left += here
    return cat(rows, 0)


@op(runs="composed", sample="matrix_or_more", dtypes=PLAIN)
def fliplr(input: Tensor) -> Tensor:
    """In reverse order along axis 1."""
    x = tensor("fliplr", input)
    if x.ndim < 2:
        raise ShapeMismatchError("fliplr", "at least two axes", tuple(x.shape))
    return flip(x, 1)


@op(runs="composed", sample="matrix_or_more", dtypes=PLAIN)
def flipud(input: Tensor) -> Tensor:
    """In reverse order along axis 0."""
    x = tensor("flipud", input)
    if x.ndim < 1:
        raise ShapeMismatchError("flipud", "at least one axis", tuple(x.shape))
    return flip(x, 0)


@op(runs="composed", sample="rot90", dtypes=PLAIN)
def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned by 90 degrees ``k`` times, from the first of the two axes towards the second."""
    x, turns = tensor("rot90", input), integer("rot90", k, "k") % 4
    if not isinstance(dims, (tuple, list)) or len(dims) != 2 or x.ndim < 2:
        raise ArgumentError("rot90", "dims", "must name two axes")
    first, second = (axis("rot90", d, x.ndim) for d in dims)
    if first == second:
        raise ArgumentError("rot90", "dims", "must name two different axes")
    if turns == 2:
        return flip(x, first, second)
    if turns == 1:
        return transpose(flip(x, second), first, second)
    return flip(transpose(x, first, second), second) if turns == 3 else x


@op(runs="composed", sample="split_with_sizes", dtypes=PLAIN)
def split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces of these lengths, which add up to the extent of ``dim``."""
    if not isinstance(split_sizes, (tuple, list)):
        raise DTypeError("split_with_sizes", "a sequence of lengths", type(split_sizes).__name__)
    return split(tensor("split_with_sizes", input), list(split_sizes), dim)
