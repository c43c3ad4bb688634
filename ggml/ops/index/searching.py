"""Where values belong among ascending ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import NUMERIC
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.core.node import Node
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.ops.index.indexing import gather
from ggml.registry.arguments import Number, convert, number, result_type, tensor
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor, filled


def _lower_search(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    if not node.shape:
        return b.search(values[0], values[1].reshape_to((1,)), params[0]).reshape_to(())
    return b.search(values[0], values[1], params[0])


@op(runs="kernel", sample="searchsorted", lower=_lower_search, dtypes=NUMERIC, methods=())
def searchsorted(
    sorted_sequence: Tensor,
    input: Tensor | Number,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """The place of each element of ``input`` in its ascending row of ``sorted_sequence`` (or in the only one).

    It is the first place where the row stays ascending, or with ``right`` the last. ``sorter`` is the order that
    would sort the rows. A NaN belongs at the end.
    """
    rows = tensor("searchsorted", sorted_sequence, "sorted_sequence")
    if side not in (None, "left", "right"):
        raise ArgumentError("searchsorted", "side", f"must be 'left' or 'right', not {side!r}")
    if side == "left" and right:
        raise ArgumentError("searchsorted", "side and right", "contradict each other")
    if sorter is not None:
        rows = _sorted_by(rows, tensor("searchsorted", sorter, "sorter"))
    return _searched("searchsorted", rows, input, bool(right) or side == "right", bool(out_int32))


def _sorted_by(rows: Tensor, order: Tensor) -> Tensor:
    if order.dtype is not dtypes.int64:
        raise DTypeError("searchsorted", "an int64 sorter", order.dtype)
    if order._node.shape != rows._node.shape:
        raise ShapeMismatchError("searchsorted", f"a sorter of {rows._node.shape}", order._node.shape)
    return gather(rows, -1, order)


def _searched(name: str, rows: Tensor, input: Any, is_right: bool, is_short: bool) -> Tensor:
    if dtypes.bool_ in (rows.dtype, getattr(input, "dtype", None)):
        raise DTypeError(name, "numbers", dtypes.bool_)
    given = tensor(name, input) if isinstance(input, Tensor) else number(name, input, "input")
    dtype = result_type(rows, given)
    values = convert(given, dtype) if isinstance(given, Tensor) else filled((), given, dtype, rows.device)
    have, wanted = rows._node.shape, values._node.shape
    if not have or (len(have) > 1 and have[:-1] != wanted[:-1]) or (len(have) > 1 and not wanted):
        raise ShapeMismatchError(name, "one ascending row, or one for each row of the input", (have, wanted))
    if not have[-1] and values.numel():
        result = filled((), 0, dtypes.int64, rows.device).expand(wanted)
    else:
        result = make("searchsorted", (convert(rows, dtype), values), (is_right,), wanted, dtypes.int64)
    return convert(result, dtypes.int32) if is_short else result


@op(runs="composed", sample="bucketize", dtypes=NUMERIC, methods=())
def bucketize(input: Tensor | Number, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """Between which of the ascending ``boundaries`` each element lies; ``right`` decides where equal ones belong."""
    edges = tensor("bucketize", boundaries, "boundaries")
    if edges.ndim != 1:
        raise ShapeMismatchError("bucketize", "boundaries with one axis", edges._node.shape)
    return _searched("bucketize", edges, input, bool(right), bool(out_int32))
