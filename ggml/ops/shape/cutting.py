"""Parts of a tensor along an axis: slices, narrow, select, split, flip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ggml.core.dtypes import PLAIN
from ggml.core.errors import ArgumentError, DTypeError, IndexOutOfRangeError, ShapeMismatchError
from ggml.core.node import Node, Shape
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.ops.shape.views import VIEWS_COPY, Extents, reshape
from ggml.registry.arguments import integer, several, tensor
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor
from ggml.tensors.transfer import axis


def _lower_slice(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    starts, steps = params
    return values[0].cut(starts, steps, node.shape)


@op(runs="view", sample="internal", lower=_lower_slice, dtypes=PLAIN, torch="Tensor.__getitem__", methods=(),
    widens=False, differs=VIEWS_COPY)  # fmt: skip
def strided_slice(input: Tensor, starts: Sequence[int], steps: Sequence[int], shape: Shape) -> Tensor:
    """From each axis ``shape[i]`` elements: ``starts[i]``, ``starts[i] + steps[i]`` ... The caller has checked."""
    return make("strided_slice", (input,), (tuple(starts), tuple(steps)), shape, input._node.dtype)


def cut_axis(x: Tensor, at: int, start: int, length: int, step: int = 1) -> Tensor:
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
    return cut_axis(x, at, first, count)


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
    one = cut_axis(x, at, place % extent, 1)
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
    return tuple(cut_axis(x, at, start, length) for start, length in zip(starts, lengths, strict=True))


@op(runs="composed", sample="chunk", dtypes=PLAIN)
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most that many pieces of equal length."""
    x = tensor("chunk", input)
    at, count = real_axis("chunk", x, dim), integer("chunk", chunks, "chunks")
    if count < 1:
        raise ArgumentError("chunk", "chunks", f"must be positive, not {count}")
    extent = x._node.shape[at]
    if extent == 0:
        return tuple(cut_axis(x, at, 0, 0) for _ in range(count))
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
