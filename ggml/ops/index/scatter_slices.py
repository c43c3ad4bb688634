"""Writing whole slices along one axis, at places that an index with one axis names."""

from __future__ import annotations

from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import NUMERIC, PLAIN
from ggml.core.errors import DTypeError, IndexOutOfRangeError, ShapeMismatchError
from ggml.ops.index.indexing import index_tensor
from ggml.ops.index.scatter import lower_scatter, reduced, reduction, with_axis, written
from ggml.registry.arguments import Number, element, fitting, number, tensor
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor
from ggml.tensors.transfer import axis


def long_index(name: str, index: Any, argument: str = "index") -> Tensor:
    """Integer indices, of int64 only, as PyTorch wants them here."""
    places = index_tensor(name, index, argument)
    if index.dtype is not dtypes.int64:
        raise DTypeError(name, f"an int64 {argument}", index.dtype)
    return places


def _one_axis(name: str, places: Tensor) -> Tensor:
    if places.ndim > 1:
        raise ShapeMismatchError(name, "an index with one axis", tuple(places.shape))
    return with_axis(places)


def _slices(name: str, x: Tensor, at: int, places: Tensor, source: Tensor) -> Tensor:
    """The source with the input's axes, one slice for each index; or ShapeMismatchError."""
    if source.dtype is not x.dtype:
        raise DTypeError(name, f"a source of {x.dtype}", source.dtype)
    have, given = with_axis(x)._node.shape, with_axis(source)._node.shape
    wanted = (*have[:at], places._node.numel, *have[at + 1 :])
    if given != wanted:
        raise ShapeMismatchError(name, f"a source of {wanted}", tuple(source.shape))
    return with_axis(source)


def _write(name: str, x: Tensor, at: int, places: Tensor, source: Tensor, kernel: str, may_wrap: bool) -> Tensor:
    result = written(name, with_axis(x), at, places, source, kernel, may_wrap=may_wrap, is_shared=True)
    return result.reshape(x._node.shape)


@op(runs="kernel", sample="index_add", lower=lower_scatter, dtypes=PLAIN, widens=False, inplace=True)
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Number = 1) -> Tensor:
    """``input`` with the slices of ``source``, times ``alpha``, added where ``index`` says along ``dim``."""
    x, given = tensor("index_add", input), tensor("index_add", source, "source")
    at, places = axis("index_add", dim, x.ndim), _one_axis("index_add", index_tensor("index_add", index))
    if x.ndim != given.ndim:
        raise ShapeMismatchError("index_add", f"{x.ndim} axes in the source", tuple(given.shape))
    slices = _slices("index_add", x, at, places, given)
    factor = number("index_add", alpha, "alpha")
    if factor != 1:
        slices = slices * factor if x.is_floating_point() else _times(slices, factor)
    return _write("index_add", x, at, places, slices, "add", False)


def _times(slices: Tensor, factor: Number) -> Tensor:
    """Integers and bools times a number, cut to their own dtype first."""
    whole = fitting("index_add", factor, slices.dtype)
    return slices * int(whole) if slices.dtype is not dtypes.bool_ else slices & bool(whole)


@op(runs="kernel", sample="index_copy", lower=lower_scatter, dtypes=PLAIN, widens=False, inplace=True)
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """``input`` with the slices of ``source`` put where ``index`` says along ``dim``; of equal ones the last stays."""
    x, given = tensor("index_copy", input), tensor("index_copy", source, "source")
    at, places = axis("index_copy", dim, x.ndim), _one_axis("index_copy", long_index("index_copy", index))
    slices = _slices("index_copy", x, at, places, given)
    return _write("index_copy", x, at, places, slices, "put", False)


@op(runs="kernel", sample="index_fill", lower=lower_scatter, dtypes=PLAIN, widens=False, inplace=True)
def index_fill(input: Tensor, dim: int, index: Tensor, value: Number | Tensor) -> Tensor:
    """``input`` with ``value`` (a number, or a tensor without axes) in the slices that ``index`` names."""
    x = tensor("index_fill", input)
    at, places = axis("index_fill", dim, x.ndim), _one_axis("index_fill", long_index("index_fill", index))
    fill = element("index_fill", value, x)
    have = with_axis(x)._node.shape
    source = fill.expand(*have[:at], places.numel(), *have[at + 1 :])
    return _write("index_fill", x, at, places, source, "put", True)


@op(runs="kernel", sample="index_reduce", lower=lower_scatter, dtypes=NUMERIC, widens=False, inplace=True)
def index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """As ``index_add``, combined by "prod", "mean", "amax" or "amin"."""
    x, given = tensor("index_reduce", input), tensor("index_reduce", source, "source")
    kind = reduction("index_reduce", reduce, ("prod", "mean", "amax", "amin"))
    if x.dtype is dtypes.bool_:
        raise DTypeError("index_reduce", "numbers", x.dtype)
    at, places = axis("index_reduce", dim, x.ndim), _one_axis("index_reduce", index_tensor("index_reduce", index))
    slices = _slices("index_reduce", x, at, places, given)

    def write(base: Tensor, values: Tensor, kernel: str) -> Tensor:
        return _write("index_reduce", base, at, places, values, kernel, False)

    return reduced(x, slices, kind, bool(include_self), write)


# Over all elements in their order


@op(runs="kernel", sample="put", lower=lower_scatter, dtypes=PLAIN, widens=False, methods=("put",), inplace=True,
    torch="Tensor.put")  # fmt: skip
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """``input`` with ``source`` put (or added) where ``index`` says, counted over all elements."""
    x, given, places = tensor("put", input), tensor("put", source, "source"), long_index("put", index)
    if given.dtype is not x.dtype:
        raise DTypeError("put", f"a source of {x.dtype}", given.dtype)
    if given.numel() != places.numel():
        raise ShapeMismatchError("put", f"{places.numel()} elements in the source", tuple(given.shape))
    if places.numel() and not x.numel():
        raise IndexOutOfRangeError("put", "there is no element to write to")
    kernel = "add" if accumulate else "put"
    result = _write("put", x.flatten(), 0, places.flatten(), given.flatten(), kernel, True)
    return result.reshape(x._node.shape)
