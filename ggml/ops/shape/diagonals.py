"""Diagonals and triangles, and matrices made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ggml.core import dtypes
from ggml.core.devices import Device, unplaced
from ggml.core.devices import device as device_named
from ggml.core.dtypes import PLAIN, DType
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.ops.elementwise.selection import where
from ggml.ops.shape.concatenation import cat
from ggml.ops.shape.permuting import movedim
from ggml.ops.shape.strided import diagonal
from ggml.registry.arguments import as_dtype, convert, integer, sizes, tensor
from ggml.registry.limits import on_host
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor, filled, wrap
from ggml.tensors.transfer import axis, to_storage, upload


@op(runs="composed", sample="diag_embed", dtypes=PLAIN)
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The last axis as the diagonal of matrices in two new axes, 0 elsewhere."""
    x, shift = tensor("diag_embed", input), integer("diag_embed", offset, "offset")
    if not x.ndim:
        raise ShapeMismatchError("diag_embed", "at least one axis", ())
    first, second = axis("diag_embed", dim1, x.ndim + 1), axis("diag_embed", dim2, x.ndim + 1)
    if first == second:
        raise ArgumentError("diag_embed", "dim1 and dim2", "must be two different axes")
    length, away = x.shape[-1], shift if shift > 0 else -shift
    size = length + away
    on_host("diag_embed", "offset", size * size)
    if not x.numel():
        matrices = filled((*x.shape[:-1], size, size), 0, x.dtype, x.device)
        return movedim(matrices, (-2, -1), (first, second)) if matrices.ndim > 1 else matrices
    column = max(shift, 0)
    ends = [filled((*x.shape[:-1], extent), 0, x.dtype, x.device) for extent in (column, size - length - column)]
    along = cat([ends[0], x, ends[1]], -1) if away else x
    mask = wrap(upload(np.eye(size, size, shift, np.float32), dtypes.bool_, x.device))
    zero = filled((), 0, x.dtype, x.device)
    return movedim(where(mask, along.unsqueeze(-2), zero), (-2, -1), (first, second))


@op(runs="composed", sample="diag", dtypes=PLAIN)
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The matrix with this diagonal, or the diagonal of this matrix."""
    x, shift = tensor("diag", input), integer("diag", diagonal, "diagonal")
    if x.ndim not in (1, 2):
        raise ShapeMismatchError("diag", "a vector or a matrix", tuple(x.shape))
    return diag_embed(x, shift) if x.ndim == 1 else _diagonal(x, shift)


_diagonal = diagonal


@op(runs="composed", sample="diagflat", dtypes=PLAIN)
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The matrix with all elements along its diagonal."""
    return diag_embed(tensor("diagflat", input).flatten(), offset)


@op(runs="composed", sample="vander", dtypes=PLAIN, methods=())
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of a vector's elements, from ``N - 1`` down to 0, as columns."""
    base = tensor("vander", x, "x")
    if base.ndim != 1:
        raise ShapeMismatchError("vander", "a vector", tuple(base.shape))
    count = base.shape[0] if N is None else integer("vander", N, "N")
    if count < 0:
        raise ArgumentError("vander", "N", f"must not be negative: {N}")
    on_host("vander", "N", base.shape[0] * count)
    base = base if base.is_floating_point() else convert(base, dtypes.int64)
    if count == 0 or base.shape[0] == 0:
        return filled((base.shape[0], count), 0, base.dtype, base.device)
    first = filled((base.shape[0], 1), 1, base.dtype, base.device)
    rest = base.unsqueeze(1).expand((base.shape[0], count - 1)).cumprod(1) if count > 1 else None
    powers = first if rest is None else cat([first, rest], 1)
    return powers if increasing else powers.flip(1)


@op(
    runs="composed",
    sample="linalg_vander",
    dtypes=(dtypes.float32, dtypes.int32, dtypes.int64),
    torch="linalg.vander",
    methods=(),
)
def linalg_vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """The powers from 0 on of the elements of vectors [..., n], as rows [..., n, N]."""
    base = tensor("linalg.vander", x, "x")
    if base.dtype not in (dtypes.float32, dtypes.int32, dtypes.int64):
        raise DTypeError("linalg.vander", "float32, int32 or int64", base.dtype)
    base = base if base.ndim else base.unsqueeze(0)
    count = base.shape[-1] if N is None else integer("linalg.vander", N, "N")
    if count < 2:
        raise ArgumentError("linalg.vander", "N", f"must be at least 2: {count}")
    on_host("linalg.vander", "N", base.numel() * count)
    base = base if base.is_floating_point() else convert(base, dtypes.int64)
    shape = tuple(base.shape)
    if 0 in (*shape, count):
        return filled((*shape, count), 0, base.dtype, base.device)
    first = filled((*shape, 1), 1, base.dtype, base.device)
    return cat([first, base.unsqueeze(-1).expand((*shape, count - 1)).cumprod(-1)], -1)


def _indices(name: str, row: int, col: int, offset: int, dtype: Any, place: Any) -> Tensor:
    rows, columns = sizes(name, (row, col))
    on_host(name, "row and col", max(rows, 1) * max(columns, 1))
    shift, kind = integer(name, offset, "offset"), dtypes.int64 if dtype is None else as_dtype(name, dtype)
    if not kind.is_integer:
        raise DTypeError(name, "an integer dtype", kind)
    on = unplaced() if place is None else device_named(place)
    limit = max(rows, columns) + 1
    within = np.tril if name == "tril_indices" else np.triu
    found = np.nonzero(within(np.ones((rows, columns), np.bool_), max(-limit, min(limit, shift))))
    return wrap(upload(to_storage(np.array(found).reshape(2, -1), kind), kind, on))


@op(runs="host", sample="triangle_indices", methods=())
def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: DType | None = None, device: Device | str | None = None
) -> Tensor:
    """The places on and below a diagonal of a matrix, [2, n]: rows and columns."""
    return _indices("tril_indices", row, col, offset, dtype, device)


@op(runs="host", sample="triangle_indices", methods=())
def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: DType | None = None, device: Device | str | None = None
) -> Tensor:
    """The places on and above a diagonal of a matrix, [2, n]: rows and columns."""
    return _indices("triu_indices", row, col, offset, dtype, device)
