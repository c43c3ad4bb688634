"""Results whose shape depends on the elements: they are read on the host, so no compiled function can have them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core import dtypes
from ggml.core.devices import Device
from ggml.core.dtypes import PLAIN, DType
from ggml.core.errors import DTypeError, ShapeMismatchError
from ggml.graph import executor
from ggml.registry.arguments import broadcast, tensor
from ggml.registry.table import op
from ggml.tensors import transfer
from ggml.tensors.tensor import Tensor, wrap
from ggml.tensors.transfer import axis


def read(name: str, x: Tensor) -> NDArray[Any]:
    """The elements, computed if need be; TracingError while a function is compiled. bfloat16 comes as float32."""
    if x._node.buffer is None:
        return transfer.values(x._node, executor.memory(x._node, name))
    return transfer.values(x._node, x.buffer())


def written(array: NDArray[Any], dtype: DType, device: Device) -> Tensor:
    """A tensor of what the host has worked out."""
    return wrap(transfer.upload(transfer.to_storage(array, dtype), dtype, device))


@op(runs="host", sample="nonzero", dtypes=PLAIN)
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Tensor | tuple[Tensor, ...]:
    """The places of the elements that differ from 0, one row each; or one tensor for each axis."""
    x = tensor("nonzero", input)
    array = read("nonzero", x)
    if as_tuple:
        return tuple(written(one, dtypes.int64, x.device) for one in np.nonzero(np.atleast_1d(array)))
    return written(np.argwhere(array), dtypes.int64, x.device)


@op(runs="host", sample="unary_special", dtypes=PLAIN)
def argwhere(input: Tensor) -> Tensor:
    """The places of the elements that differ from 0, one row each."""
    x = tensor("argwhere", input)
    return written(np.argwhere(read("argwhere", x)), dtypes.int64, x.device)


@op(runs="host", sample="masked_select", dtypes=PLAIN)
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where ``mask`` is set, along one axis; the two broadcast."""
    x, chosen = tensor("masked_select", input), tensor("masked_select", mask, "mask")
    if chosen.dtype is not dtypes.bool_:
        raise DTypeError("masked_select", "a bool mask", chosen.dtype)
    shape = broadcast("masked_select", x._node.shape, chosen._node.shape)
    array = np.broadcast_to(read("masked_select", x), shape)
    return written(array[np.broadcast_to(read("masked_select", chosen), shape)], x.dtype, x.device)


@op(
    runs="host",
    sample="unique",
    dtypes=PLAIN,
    differs="Always sorted. With ``dim``, slices that hold a NaN come in an order of their own.",
)
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Tensor | tuple[Tensor, ...]:
    """Each element (or slice along ``dim``) once; where each went, and how many there were. A NaN equals no other."""
    x = tensor("unique", input)
    slices, at = _slices("unique", x, dim)
    order = np.lexsort(slices.T[::-1]) if slices.shape[1] else np.arange(len(slices))
    starts = _starts(slices[order])
    groups = np.cumsum(starts) - 1
    inverse = np.empty(len(slices), np.int64)
    inverse[order] = groups
    return _results(x, at, order[starts], inverse, return_inverse, return_counts)


@op(runs="host", sample="unique_consecutive", dtypes=PLAIN)
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Tensor | tuple[Tensor, ...]:
    """The elements (or slices along ``dim``) that differ from the one before them."""
    x = tensor("unique_consecutive", input)
    slices, at = _slices("unique_consecutive", x, dim)
    starts = _starts(slices)
    kept, inverse = np.flatnonzero(starts), np.cumsum(starts) - 1
    return _results(x, at, kept, inverse, return_inverse, return_counts)


def _slices(name: str, x: Tensor, dim: int | None) -> tuple[NDArray[Any], int | None]:
    """The elements, or the slices along an axis, as rows."""
    array = read(name, x)
    if dim is None:
        return array.reshape(-1, 1), None
    if not x.ndim:
        raise ShapeMismatchError(name, "at least one axis", ())
    at = axis(name, dim, x.ndim)
    moved = np.moveaxis(array, at, 0)
    if 0 in moved.shape[1:]:
        raise ShapeMismatchError(name, f"axes beside dim {at} with elements", x._node.shape)
    return moved.reshape(len(moved), math.prod(moved.shape[1:])), at


def _starts(rows: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each row differs from the one before it."""
    starts = np.ones(len(rows), np.bool_)
    starts[1:] = (rows[1:] != rows[:-1]).any(1)
    return starts


def _results(
    x: Tensor,
    at: int | None,
    kept: NDArray[np.int64],
    inverse: NDArray[np.int64],
    wants_inverse: bool,
    wants_counts: bool,
) -> Tensor | tuple[Tensor, ...]:
    array = transfer.values(x._node, x.buffer())
    values = array.reshape(-1)[kept] if at is None else np.take(array, kept, at)
    results = [written(values, x.dtype, x.device)]
    if wants_inverse:
        shaped = inverse.reshape(array.shape) if at is None else inverse
        results.append(written(shaped, dtypes.int64, x.device))
    if wants_counts:
        results.append(written(np.bincount(inverse, minlength=len(kept)), dtypes.int64, x.device))
    return results[0] if len(results) == 1 else tuple(results)
