"""Other looks at the same elements, and joining them. Most cost nothing until the elements are needed in order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ggml.core.dtypes import PLAIN, promote_types
from ggml.core.errors import ArgumentError, DTypeError, IndexOutOfRangeError, RankError, ShapeMismatchError
from ggml.core.node import MAX_RANK, Node, Shape
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.registry.arguments import convert, integer, several, tensor
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor, wrap
from ggml.tensors.transfer import axis

Extents = int | Sequence[int]

_VIEWS_COPY = "The result is a value of its own: an in-place method of one never changes the other."


def _listed(value: Any) -> list[Any]:
    """One item or several, as a list."""
    return list(value) if isinstance(value, (tuple, list)) else [value]


def _lower_reshape(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    return b.reshape(values[0], node.shape)


def _inferred(name: str, shape: Sequence[int], numel: int) -> Shape:
    """The shape with its -1 worked out."""
    extents = [integer(name, extent, "shape") for extent in shape]
    if len(extents) > MAX_RANK:
        raise RankError(name, len(extents), MAX_RANK)
    if extents.count(-1) > 1 or any(extent < -1 for extent in extents):
        raise ArgumentError(name, "shape", f"may have one -1 and nothing below: {tuple(extents)}")
    if -1 in extents:
        rest = math.prod(extent for extent in extents if extent != -1)
        if rest == 0 or numel % rest != 0:
            raise ShapeMismatchError(name, f"a shape for {numel} elements", tuple(extents))
        extents[extents.index(-1)] = numel // rest
    if math.prod(extents) != numel:
        raise ShapeMismatchError(name, f"a shape for {numel} elements", tuple(extents))
    return tuple(extents)


@op(runs="view", sample="reshape", lower=_lower_reshape, dtypes=PLAIN, widens=False, differs=_VIEWS_COPY)
def reshape(input: Tensor, *extents: Any, shape: Extents | None = None) -> Tensor:
    """The same elements in another shape; one extent may be -1."""
    x = tensor("reshape", input)
    wanted = _inferred("reshape", several("reshape", "shape", extents, shape), x._node.numel)
    return make("reshape", (x,), (wanted,), wanted, x._node.dtype)


@op(
    runs="composed",
    sample="reshape",
    dtypes=PLAIN,
    torch="Tensor.view",
    differs="Works for every tensor, as ``reshape`` does; there are no strides that could forbid it.",
)
def view(input: Tensor, *shape: Any, size: Extents | None = None) -> Tensor:
    """The same as ``reshape``."""
    return reshape(input, several("view", "size", shape, size))


@op(runs="composed", sample="same_numel", dtypes=PLAIN, torch="Tensor.view_as", methods=("view_as", "reshape_as"))
def view_as(input: Tensor, other: Tensor) -> Tensor:
    """The elements in the shape of ``other``."""
    return reshape(input, tuple(tensor("view_as", other, "other").shape))


@op(runs="composed", sample="flatten", dtypes=PLAIN)
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from ``start_dim`` to ``end_dim`` merged into one."""
    x = tensor("flatten", input)
    first, last = axis("flatten", start_dim, x.ndim), axis("flatten", end_dim, x.ndim)
    if first > last:
        raise ArgumentError("flatten", "start_dim", f"{first} lies behind end_dim {last}")
    shape = x._node.shape
    return reshape(x, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


@op(runs="composed", sample="unary_any", dtypes=PLAIN)
def ravel(input: Tensor) -> Tensor:
    """All elements along one axis."""
    return flatten(input)


@op(runs="composed", sample="unflatten", dtypes=PLAIN)
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """One axis split into several; one extent may be -1."""
    x = tensor("unflatten", input)
    at, shape = axis("unflatten", dim, x.ndim), x._node.shape
    if not shape:
        raise ShapeMismatchError("unflatten", "at least one axis", ())
    if not isinstance(sizes, (tuple, list)):
        raise DTypeError("unflatten", "a sequence as sizes", type(sizes).__name__)
    return reshape(x, (*shape[:at], *_inferred("unflatten", sizes, shape[at]), *shape[at + 1 :]))


@op(runs="composed", sample="squeeze", dtypes=PLAIN, inplace="reshapes")
def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Without the axes of extent 1, or without those of ``dim`` that have it."""
    x = tensor("squeeze", input)
    named = range(x.ndim) if dim is None else _listed(dim)
    gone = {axis("squeeze", one, x.ndim) for one in named}
    return reshape(x, tuple(extent for d, extent in enumerate(x._node.shape) if extent != 1 or d not in gone))


@op(runs="composed", sample="unsqueeze", dtypes=PLAIN, inplace="reshapes")
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With an axis of extent 1 at ``dim``."""
    x = tensor("unsqueeze", input)
    at = axis("unsqueeze", dim, x.ndim + 1)
    return reshape(x, (*x._node.shape[:at], 1, *x._node.shape[at:]))


def _lower_permute(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    return values[0].permute(params[0])


@op(runs="view", sample="permute", lower=_lower_permute, dtypes=PLAIN, widens=False, differs=_VIEWS_COPY)
def permute(input: Tensor, *order: Any, dims: Extents | None = None) -> Tensor:
    """The axes in another order."""
    if not isinstance(input, Tensor):
        raise DTypeError("permute", "a tensor as input", type(input).__name__)
    wanted = several("permute", "dims", order, dims)
    axes = tuple(axis("permute", d, input.ndim) for d in wanted)
    if sorted(axes) != list(range(input.ndim)):
        raise ArgumentError("permute", "dims", f"must name each of the {input.ndim} axes once: {tuple(wanted)}")
    shape = tuple(input._node.shape[d] for d in axes)
    return make("permute", (input,), (axes,), shape, input._node.dtype)


@op(runs="composed", sample="transpose", dtypes=PLAIN, methods=("transpose", "swapaxes", "swapdims"),
    inplace="reshapes")  # fmt: skip
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two axes exchanged."""
    if not isinstance(input, Tensor):
        raise DTypeError("transpose", "a tensor as input", type(input).__name__)
    order = list(range(input.ndim))
    first, second = axis("transpose", dim0, input.ndim), axis("transpose", dim1, input.ndim)
    if order:
        order[first], order[second] = order[second], order[first]
    return permute(input, order)


@op(runs="composed", sample="matrix", dtypes=PLAIN, inplace="reshapes")
def t(input: Tensor) -> Tensor:
    """A matrix transposed; tensors of fewer axes stay."""
    if not isinstance(input, Tensor) or input.ndim > 2:
        raise ShapeMismatchError("t", "at most two axes", getattr(input, "shape", input))
    return transpose(input, 0, 1) if input.ndim == 2 else input


@op(runs="composed", sample="movedim", dtypes=PLAIN, methods=("movedim", "moveaxis"))
def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Axes moved to other places; the rest keep their order."""
    x = tensor("movedim", input)
    sources = [axis("movedim", d, x.ndim) for d in _listed(source)]
    to = [axis("movedim", d, x.ndim) for d in _listed(destination)]
    if len(sources) != len(to) or len(set(sources)) != len(sources) or len(set(to)) != len(to):
        raise ArgumentError("movedim", "source and destination", "must be as many different axes each")
    rest = iter([d for d in range(x.ndim) if d not in sources])
    placed = dict(zip(to, sources, strict=True))
    return permute(x, [placed[d] if d in placed else next(rest) for d in range(x.ndim)]) if x.ndim else x


def _lower_expand(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    return values[0].expand(node.shape)


@op(runs="view", sample="expand", lower=_lower_expand, dtypes=PLAIN, torch="Tensor.expand", widens=False,
    differs=_VIEWS_COPY)  # fmt: skip
def expand(input: Tensor, *sizes: Any, size: Extents | None = None, implicit: bool = False) -> Tensor:
    """Axes of extent 1 repeated, and new ones put in front; -1 keeps an extent. ``implicit`` has no effect."""
    x, wanted = tensor("expand", input), several("expand", "size", sizes, size)
    return _expanded("expand", x, [integer("expand", extent, "size") for extent in wanted])


def _expanded(name: str, x: Tensor, wanted: Sequence[int]) -> Tensor:
    shape, new = x._node.shape, len(wanted) - len(x._node.shape)
    if new < 0 or -1 in wanted[:new] or any(extent < -1 for extent in wanted):
        raise ShapeMismatchError(name, f"at least the {len(shape)} axes of {shape}", tuple(wanted))
    result = list(wanted)
    for place, have in enumerate(shape, new):
        if result[place] == -1:
            result[place] = have
        if have not in (1, result[place]):
            raise ShapeMismatchError(name, f"extents that {shape} broadcasts to", tuple(wanted))
    if math.prod(result) >= 1 << 46:
        raise ArgumentError(name, "size", f"is too large: {tuple(result)}")
    return make("expand", (x,), (), tuple(result), x._node.dtype)


@op(runs="composed", sample="expand", dtypes=PLAIN)
def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """The same as ``expand``."""
    return expand(input, size)


@op(runs="composed", sample="expand_as", dtypes=PLAIN, torch="Tensor.expand_as")
def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """Expanded to the shape of ``other``."""
    return expand(input, tuple(tensor("expand_as", other, "other").shape))


def _lower_slice(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    starts, steps = params
    return values[0].cut(starts, steps, node.shape)


@op(runs="view", sample="internal", lower=_lower_slice, dtypes=PLAIN, torch="Tensor.__getitem__", methods=(),
    widens=False, differs=_VIEWS_COPY)  # fmt: skip
def strided_slice(input: Tensor, starts: Sequence[int], steps: Sequence[int], shape: Shape) -> Tensor:
    """From each axis ``shape[i]`` elements: ``starts[i]``, ``starts[i] + steps[i]`` ... The caller has checked."""
    return make("strided_slice", (input,), (tuple(starts), tuple(steps)), shape, input._node.dtype)


def _cut_axis(x: Tensor, at: int, start: int, length: int, step: int = 1) -> Tensor:
    rank, shape = x.ndim, x._node.shape
    starts = [start if d == at else 0 for d in range(rank)]
    steps = [step if d == at else 1 for d in range(rank)]
    return strided_slice(x, starts, steps, (*shape[:at], length, *shape[at + 1 :]))


@op(runs="composed", sample="narrow", dtypes=PLAIN)
def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """``length`` elements along ``dim``, from ``start`` on."""
    x = tensor("narrow", input)
    at = real_axis("narrow", x, dim)
    if isinstance(start, Tensor) and (start.ndim or not start.dtype.is_integer):
        raise DTypeError("narrow", "an integer as start", f"{start.dtype} {tuple(start.shape)}")
    extent, first = x._node.shape[at], integer("narrow", start, "start")
    count = integer("narrow", length, "length")
    first = first + extent if first < 0 else first
    if not 0 <= first <= extent or not 0 <= count <= extent - first:
        raise ShapeMismatchError("narrow", f"a range inside [0, {extent})", (start, length))
    return _cut_axis(x, at, first, count)


def real_axis(name: str, x: Tensor, dim: int) -> int:
    if not x.ndim:
        raise ShapeMismatchError(name, "at least one axis", ())
    return axis(name, dim, x.ndim)


@op(runs="composed", sample="select", dtypes=PLAIN)
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The elements at one place along ``dim``, without that axis."""
    x = tensor("select", input)
    at, place = real_axis("select", x, dim), integer("select", index, "index")
    extent = x._node.shape[at]
    if not -extent <= place < extent:
        raise IndexOutOfRangeError("select", f"index {place} is out of bounds for size {extent}")
    one = _cut_axis(x, at, place % extent, 1)
    return reshape(one, (*one._node.shape[:at], *one._node.shape[at + 1 :]))


@op(runs="composed", sample="split", dtypes=PLAIN)
def split(input: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces of that length (the last may be shorter), or of these lengths."""
    x = tensor("split", input)
    at = real_axis("split", x, dim)
    extent = x._node.shape[at]
    if isinstance(split_size_or_sections, (tuple, list)):
        lengths = [integer("split", length, "split_size") for length in split_size_or_sections]
        if sum(lengths) != extent or any(length < 0 for length in lengths):
            raise ShapeMismatchError("split", f"lengths that add up to {extent}", tuple(lengths))
    else:
        size = integer("split", split_size_or_sections, "split_size")
        if size < 0 or (size == 0 and extent != 0):
            raise ArgumentError("split", "split_size", f"must be positive, not {size}")
        lengths = [min(size, extent - begin) for begin in range(0, extent, size)] if extent else [0]
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    return tuple(_cut_axis(x, at, start, length) for start, length in zip(starts, lengths, strict=True))


@op(runs="composed", sample="chunk", dtypes=PLAIN)
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most that many pieces of equal length."""
    x = tensor("chunk", input)
    at, count = real_axis("chunk", x, dim), integer("chunk", chunks, "chunks")
    if count < 1:
        raise ArgumentError("chunk", "chunks", f"must be positive, not {count}")
    extent = x._node.shape[at]
    if extent == 0:
        return tuple(_cut_axis(x, at, 0, 0) for _ in range(count))
    return split(x, -(-extent // count), at)


@op(runs="composed", sample="unbind", dtypes=PLAIN)
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Every slice along ``dim``, without that axis."""
    x = tensor("unbind", input)
    at = real_axis("unbind", x, dim)
    return tuple(select(x, at, place) for place in range(x._node.shape[at]))


def _lower_flip(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    starts = [extent - 1 if d in params[0] else 0 for d, extent in enumerate(node.shape)]
    return values[0].cut(starts, [-1 if d in params[0] else 1 for d in range(len(node.shape))], node.shape)


@op(runs="view", sample="flip", lower=_lower_flip, dtypes=PLAIN, widens=False)
def flip(input: Tensor, *axes: Any, dims: Extents | None = None) -> Tensor:
    """The elements in reverse order along these axes."""
    x = tensor("flip", input)
    wanted = several("flip", "dims", axes, dims)
    turned = tuple(axis("flip", d, x.ndim) for d in wanted)
    if len(set(turned)) != len(turned):
        raise ArgumentError("flip", "dims", f"names an axis twice: {tuple(wanted)}")
    return make("flip", (x,), (turned if x.ndim else (),), x._node.shape, x._node.dtype)


@op(runs="composed", sample="roll", dtypes=PLAIN)
def roll(input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
    """The elements moved along axes; what leaves at one end comes in at the other."""
    x = tensor("roll", input)
    moves = _listed(shifts)
    if dims is None or (isinstance(dims, (tuple, list)) and not dims):
        if len(moves) != 1:
            raise ArgumentError("roll", "shifts", "must be one number where dims is not given")
        return reshape(roll(flatten(x), moves[0], 0), tuple(x.shape))
    named = _listed(dims)
    if len(moves) != len(named):
        raise ArgumentError("roll", "shifts and dims", f"are {len(moves)} and {len(named)}")
    for shift, dim in zip(moves, named, strict=True):
        at, distance = real_axis("roll", x, dim), integer("roll", shift, "shifts")
        extent = x._node.shape[at]
        place = -distance % extent if extent else 0
        if place:
            x = cat((_cut_axis(x, at, place, extent - place), _cut_axis(x, at, 0, place)), at)
    return x


def _lower_cat(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    at = params[0]
    outer, inner = math.prod(node.shape[:at]), math.prod(node.shape[at + 1 :])
    joined: Value | None = None
    for value in (b.cast(value, node.dtype.ggml_type) for value in values):
        piece = b.reshape(value, (outer, value.shape[at] * inner))
        if joined is None:
            joined = piece
            continue
        shape = (outer, joined.shape[1] + piece.shape[1])
        sources = (b.operand(joined, joined.shape), b.operand(piece, piece.shape))
        joined = b.emit("concat", sources, piece.type, shape, (0,))
    assert joined is not None
    return joined.reshape_to(node.shape)


@op(runs="ggml", sample="cat", lower=_lower_cat, dtypes=PLAIN, methods=(), widens=False)
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors joined along an axis. Empty ones of a single axis are left out, as in PyTorch."""
    if not isinstance(tensors, (tuple, list)) or not tensors:
        raise ArgumentError("cat", "tensors", "must be a sequence of at least one tensor")
    checked = [tensor("cat", one, "tensors") for one in tensors]
    dtype = checked[0].dtype
    for one in checked[1:]:
        dtype = promote_types(dtype, one.dtype)
    parts = [one for one in checked if one._node.shape != (0,)]
    if not parts:
        return convert(checked[0], dtype)
    first = parts[0]._node.shape
    at = real_axis("cat", parts[0], dim)
    for part in parts:
        shape = part._node.shape
        if len(shape) != len(first) or any(shape[d] != first[d] for d in range(len(first)) if d != at):
            raise ShapeMismatchError("cat", f"shapes equal to {first} but for dim {at}", shape)
    total = sum(part._node.shape[at] for part in parts)
    filled = [part for part in parts if 0 not in part._node.shape]
    shape = (*first[:at], total, *first[at + 1 :])
    if len(filled) == 1:
        return convert(filled[0], dtype)
    return make("cat", tuple(filled or parts), (at,), shape, dtype)


@op(runs="composed", sample="stack", dtypes=PLAIN, methods=())
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape joined along a new axis."""
    if not isinstance(tensors, (tuple, list)) or not tensors:
        raise ArgumentError("stack", "tensors", "must be a sequence of at least one tensor")
    checked = [tensor("stack", one, "tensors") for one in tensors]
    shape = checked[0]._node.shape
    for one in checked:
        if one._node.shape != shape:
            raise ShapeMismatchError("stack", f"shapes equal to {shape}", one._node.shape)
    at = axis("stack", dim, len(shape) + 1)
    return cat([unsqueeze(one, at) for one in checked], at)


def _lower_strided(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    flat = b.dense(values[0])
    return replace(flat, shape=node.shape, strides=params[0], offset=flat.offset + params[1])


@op(runs="view", sample="internal", lower=_lower_strided, dtypes=PLAIN, methods=(), widens=False)
def strided(input: Tensor, size: Shape, stride: tuple[int, ...], storage_offset: int) -> Tensor:
    """Any pattern over the elements of a tensor; the caller has checked that it stays inside."""
    return make("strided", (input,), (stride, storage_offset), size, input._node.dtype)


@op(runs="composed", sample="diagonal", dtypes=PLAIN)
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of the matrices in two axes, as the last axis."""
    x = tensor("diagonal", input)
    first, second = axis("diagonal", dim1, x.ndim), axis("diagonal", dim2, x.ndim)
    if first == second or x.ndim < 2:
        raise ArgumentError("diagonal", "dim1 and dim2", "must be two different axes")
    moved = movedim(x, (first, second), (-2, -1))
    shift, (*outer, rows, columns) = integer("diagonal", offset, "offset"), moved._node.shape
    row, column = max(-shift, 0), max(shift, 0)
    length = max(min(rows - row, columns - column), 0)
    if length == 0 or 0 in outer:
        return make("expand", (reshape(flatten(x), (-1,)) if x.numel() else x,), (), (*outer, length), x.dtype)
    flat = reshape(moved, (math.prod(outer), rows * columns))
    start = row * columns + column
    picked = strided_slice(flat, (0, start), (1, columns + 1), (flat.shape[0], length))
    return reshape(picked, (*outer, length))


def _same(self: Tensor) -> Tensor:
    return wrap(self._node)


def _transposed(self: Tensor) -> Tensor:
    return permute(self, list(range(self.ndim))[::-1])


def _matrix_transposed(self: Tensor) -> Tensor:
    return transpose(self, -2, -1)


setattr(Tensor, "T", property(_transposed))  # noqa: B010
setattr(Tensor, "mT", property(_matrix_transposed))  # noqa: B010
setattr(Tensor, "data", property(_same))  # noqa: B010
