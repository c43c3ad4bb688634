"""Writing into the memory of a cache: the one operation that changes a buffer that is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import F32, I32
from ggml.core.node import Node
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor


def _lower_write_rows(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    (may_wrap,) = params
    target, rows, places = values
    assert target.is_dense and target.offset == 0, "a cache is a leaf, or what was written into one"
    params = (node.shape[-2], int(may_wrap))
    checked = b.emit("index", (b.operand(places, places.shape),), I32, places.shape, params)
    memory = b.operand(target, node.shape)
    sources = (memory, b.operand(b.cast(rows, F32), rows.shape), checked.step)
    written = b.emit("set_rows", sources, target.type, node.shape)
    b.program.share(written.step)
    return written


@op(runs="ggml", sample="internal", lower=_lower_write_rows, methods=(), widens=False)
def write_rows(target: Tensor, rows: Tensor, places: Tensor, may_wrap: bool = False) -> Tensor:
    """``target`` [B, H, n, w] after ``rows`` [B, H, m, w] were written to the int64 ``places`` [m] along axis 2.

    The memory of ``target`` itself changes when the result is computed, so nothing else may rely on it. The caller
    has checked shapes. A place outside [0, n), or [-n, n) with ``may_wrap``, is an error when it is computed, and then
    nothing is written.
    """
    assert places.dtype is dtypes.int64
    return make("write_rows", (target, rows, places), (may_wrap,), target._node.shape, target._node.dtype)
