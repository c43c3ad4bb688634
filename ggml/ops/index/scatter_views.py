"""Writing to the places that a view looks at, and all elements at once."""

from __future__ import annotations

from typing import Any

from ggml.core.dtypes import PLAIN
from ggml.core.errors import ArgumentError, IndexOutOfRangeError, ShapeMismatchError
from ggml.core.node import Shape
from ggml.graph.value import row_major
from ggml.ops.index.assignment import pasted
from ggml.ops.shape.views import flatten, reshape
from ggml.registry.arguments import Number, convert, element, integer, tensor
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor
from ggml.tensors.transfer import axis


def _source(name: str, x: Tensor, src: Any, shape: Shape) -> Tensor:
    """The source in the dtype of the input, if it has the shape of the view."""
    given = tensor(name, src, "src")
    if given._node.shape != shape:
        raise ShapeMismatchError(name, f"a src of {shape}", given._node.shape)
    return convert(given, x.dtype)


def _axis(name: str, x: Tensor, dim: int) -> int:
    if not x.ndim:
        raise ShapeMismatchError(name, "at least one axis", ())
    return axis(name, dim, x.ndim)


@op(runs="composed", sample="slice_scatter", dtypes=PLAIN)
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """``input`` with ``src`` in the places that ``start:end:step`` along ``dim`` looks at."""
    x = tensor("slice_scatter", input)
    at, by = _axis("slice_scatter", x, dim), integer("slice_scatter", step, "step")
    if by < 1:
        raise ArgumentError("slice_scatter", "step", f"must be positive, not {by}")
    bounds = [None if bound is None else integer("slice_scatter", bound, "a bound") for bound in (start, end)]
    extent = x._node.shape[at]
    first, last, _ = slice(*bounds).indices(extent)
    count = max(0, -(-(last - first) // by))
    shape = x._node.shape
    source = _source("slice_scatter", x, src, (*shape[:at], count, *shape[at + 1 :]))
    strides = row_major(shape)
    steps = tuple(stride * by if d == at else stride for d, stride in enumerate(strides))
    return pasted(x, source, steps, first * strides[at])


@op(runs="composed", sample="select_scatter", dtypes=PLAIN)
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """``input`` with ``src`` at one place along ``dim``."""
    x = tensor("select_scatter", input)
    at, place = _axis("select_scatter", x, dim), integer("select_scatter", index, "index")
    shape, strides = x._node.shape, row_major(x._node.shape)
    if not -shape[at] <= place < shape[at]:
        raise IndexOutOfRangeError("select_scatter", f"index {place} is out of bounds for size {shape[at]}")
    source = _source("select_scatter", x, src, (*shape[:at], *shape[at + 1 :]))
    return pasted(x, source, (*strides[:at], *strides[at + 1 :]), place % shape[at] * strides[at])


@op(runs="composed", sample="diagonal_scatter", dtypes=PLAIN)
def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """``input`` with ``src`` on the diagonal of the matrices in two axes; its last axis goes along the diagonal."""
    x = tensor("diagonal_scatter", input)
    first, second = axis("diagonal_scatter", dim1, x.ndim), axis("diagonal_scatter", dim2, x.ndim)
    if first == second or x.ndim < 2:
        raise ArgumentError("diagonal_scatter", "dim1 and dim2", "must be two different axes")
    shift, shape, strides = integer("diagonal_scatter", offset, "offset"), x._node.shape, row_major(x._node.shape)
    row, column = max(-shift, 0), max(shift, 0)
    length = max(min(shape[first] - row, shape[second] - column), 0)
    rest = [d for d in range(x.ndim) if d not in (first, second)]
    source = _source("diagonal_scatter", x, src, (*[shape[d] for d in rest], length))
    steps = (*[strides[d] for d in rest], strides[first] + strides[second])
    return pasted(x, source, steps, row * strides[first] + column * strides[second])


# The methods of Tensor that write every element


@op(runs="composed", sample="copy_", dtypes=PLAIN, torch="Tensor.copy_", methods=("copy_",))
def copy_(input: Tensor, src: Tensor | Number, non_blocking: bool = False) -> Tensor:
    """Give the handle the values of ``src``, broadcast, in the handle's dtype and on its device."""
    x = tensor("copy_", input)
    given = tensor("copy_", src, "src") if isinstance(src, Tensor) else element("copy_", src, x)
    shape, wanted = given._node.shape, x._node.shape
    fits = len(shape) <= len(wanted) and all(
        have in (1, want) for have, want in zip(reversed(shape), reversed(wanted), strict=False)
    )
    if not fits:
        raise ShapeMismatchError("copy_", f"a src that broadcasts to {wanted}", shape)
    moved = convert(given.to_device(x.device), x.dtype)
    return x._assign(moved.expand(wanted) if wanted else moved, "copy_")


@op(runs="composed", sample="fill_", dtypes=PLAIN, torch="Tensor.fill_", methods=("fill_",))
def fill_(input: Tensor, value: Number | Tensor) -> Tensor:
    """Give the handle a tensor whose elements are all ``value``."""
    x = tensor("fill_", input)
    return x._assign(_everywhere(element("fill_", value, x), x), "fill_")


@op(runs="composed", sample="fill_", dtypes=PLAIN, methods=())
def fill(input: Tensor, value: Number | Tensor) -> Tensor:
    """All elements ``value``, in the shape and dtype of ``input``."""
    x = tensor("fill", input)
    return _everywhere(element("fill", value, x), x)


@op(runs="composed", sample="unary_any", dtypes=PLAIN, torch="Tensor.zero_", methods=("zero_",))
def zero_(input: Tensor) -> Tensor:
    """Give the handle a tensor of zeros."""
    x = tensor("zero_", input)
    return x._assign(_everywhere(element("zero_", 0, x), x), "zero_")


def _everywhere(one: Tensor, x: Tensor) -> Tensor:
    return one.expand(x._node.shape) if x.ndim else one


@op(runs="composed", sample="fill_diagonal_", dtypes=PLAIN, torch="Tensor.fill_diagonal_", methods=("fill_diagonal_",))
def fill_diagonal_(input: Tensor, fill_value: Number, wrap: bool = False) -> Tensor:
    """Give the handle its values with ``fill_value`` where all indices are equal. ``wrap`` begins anew in tall
    matrices."""
    x = tensor("fill_diagonal_", input)
    shape = x._node.shape
    if x.ndim < 2 or (x.ndim > 2 and len(set(shape)) != 1):
        raise ShapeMismatchError("fill_diagonal_", "a matrix, or more axes of one extent", shape)
    fill = element("fill_diagonal_", fill_value, x)
    if not x.numel():
        return x
    step = sum(row_major(shape))
    width = shape[1] * min(shape[0], shape[1]) if x.ndim == 2 else x.numel()
    count = -(-(x.numel() if wrap and x.ndim == 2 else width) // step)
    result = pasted(flatten(x), fill.expand(count), (step,), 0)
    return x._assign(reshape(result, shape), "fill_diagonal_")
