"""Elements that indices name, read and written."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ggml.core import dtypes
from ggml.core.errors import IndexOutOfRangeError, ShapeMismatchError
from ggml.onnx.call import Call
from ggml.onnx.element_types import to_tensor
from ggml.onnx.limits import need_few
from ggml.onnx.step import Step
from ggml.onnx.subgraph import Operand
from ggml.onnx.table import from_onnx, to_onnx
from ggml.onnx.writer import Writer
from ggml.ops.elementwise.selection import where
from ggml.ops.index.indexing import picked
from ggml.tensors.tensor import Tensor


@to_onnx("embedding")
def _embedding(w: Writer, step: Step) -> str:
    return w.emit("Gather", step.inputs[1], step.inputs[0], axis=0)


@to_onnx("index_select")
def _index_select(w: Writer, step: Step) -> str:
    index = step.inputs[1]
    if len(step.input_shapes[1]) != 1:
        index = w.emit("Reshape", index, w.ints([-1]))
    return w.emit("Gather", step.inputs[0], index, axis=step.params[0])


@to_onnx("gather")
def _gather(w: Writer, step: Step) -> str:
    return w.emit("GatherElements", *step.inputs, axis=step.params[0])


@to_onnx("take", "masked_scatter_take")
def _take(w: Writer, step: Step) -> str:
    flat = [w.emit("Reshape", name, w.ints([-1])) for name in step.inputs]
    return w.emit("Gather", *flat, axis=0)


def _axis(call: Call, x: Operand, default: int = 0) -> int:
    at = call.attribute("axis", default)
    if not -x.ndim <= at < x.ndim:
        raise ShapeMismatchError(call.where, f"an axis {at}", tuple(x.shape))
    return int(at) % x.ndim


def _wrapped(index: Tensor, extent: int) -> Tensor:
    """Indices of which negative ones count from the end."""
    return where(index.lt(0), index + extent, index)


@from_onnx("Gather")
def _gather_here(call: Call) -> Operand:
    x, index = call.operand(0), call.operand(1)
    at = _axis(call, x)
    if not isinstance(x, Tensor) and not isinstance(index, Tensor):
        need_few(call.where, (x.size // max(x.shape[at], 1) * index.size,))
        return np.asarray(np.take(x, index, at))
    source, places = call.tensor(0), call.tensor(1).to(dtypes.int64)
    shape = (*x.shape[:at], *places.shape, *x.shape[at + 1 :])
    if isinstance(index, np.ndarray) and index.size == 1:
        # One place that is known is a view, and no look-up.
        place = int(index.reshape(-1)[0])
        if not -x.shape[at] <= place < x.shape[at]:
            raise IndexOutOfRangeError(call.where, f"index {place} along an axis of {x.shape[at]}")
        return source.narrow(at, place % x.shape[at], 1).reshape(shape)
    return picked(source, at, places.reshape(-1), True).reshape(shape)


@from_onnx("GatherElements")
def _gather_elements(call: Call) -> Tensor:
    x, index = call.tensor(0), call.tensor(1).to(dtypes.int64)
    at = _axis(call, x)
    return x.gather(at, _wrapped(index, x.shape[at]))


@from_onnx("GatherND")
def _gather_nd(call: Call) -> Tensor:
    x, index, batch = call.tensor(0), call.tensor(1).to(dtypes.int64), call.attribute("batch_dims", 0)
    count = index.shape[-1] if index.ndim else 0
    if not 0 <= batch <= x.ndim - count or batch >= max(index.ndim, 1):
        raise ShapeMismatchError(call.where, "indices of axes that there are", (tuple(x.shape), tuple(index.shape)))
    inner, outer = math.prod(x.shape[batch + count :]), math.prod(x.shape[:batch])
    places = _flat_places(index, tuple(x.shape[batch : batch + count])).reshape(outer, -1)
    if batch:
        size = math.prod(x.shape[batch : batch + count])
        places = places + to_tensor(np.arange(outer, dtype=np.int64)[:, None] * size, call.device)
    rows = picked(x.reshape(-1, inner), 0, places.reshape(-1), False)
    return rows.reshape(*index.shape[:-1], *x.shape[batch + count :])


def _flat_places(index: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Indices [..., axes] as places among the elements of these axes."""
    total: Any = None
    for at, extent in enumerate(shape):
        place = _wrapped(index.select(-1, at), extent)
        total = place if total is None else total * extent + place
    return total if total is not None else index.sum(-1)


_REDUCTIONS = {"none": None, "add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@from_onnx("ScatterElements", "Scatter")
def _scatter(call: Call) -> Tensor:
    x, index, source = call.tensor(0), call.tensor(1).to(dtypes.int64), call.tensor(2)
    at, how = _axis(call, x), call.attribute("reduction", "none")
    return _scattered(call, x, at, _wrapped(index, x.shape[at]), source, how)


def _scattered(call: Call, x: Tensor, at: int, index: Tensor, source: Tensor, how: str) -> Tensor:
    if how not in _REDUCTIONS:
        raise call.refuse(f"reduction {how!r}")
    reduction = _REDUCTIONS[how]
    return x.scatter(at, index, source) if reduction is None else x.scatter_reduce(at, index, source, reduction)


@from_onnx("ScatterND")
def _scatter_nd(call: Call) -> Tensor:
    x, index, source = call.tensor(0), call.tensor(1).to(dtypes.int64), call.tensor(2)
    count = index.shape[-1] if index.ndim else 0
    if not 0 < count <= x.ndim:
        raise ShapeMismatchError(call.where, "indices of axes that there are", (tuple(x.shape), tuple(index.shape)))
    inner = math.prod(x.shape[count:])
    places = _flat_places(index, tuple(x.shape[:count])).reshape(-1, 1).expand(-1, inner)
    rows = x.reshape(-1, inner)
    how = call.attribute("reduction", "none")
    return _scattered(call, rows, 0, places, source.reshape(-1, inner), how).reshape(x.shape)


@from_onnx("OneHot")
def _one_hot(call: Call) -> Tensor:
    index, depth, values = call.tensor(0).to(dtypes.int64), int(call.number(1)), call.tensor(2)
    need_few(call.where, (depth, index.numel()))
    at = call.attribute("axis", -1)
    at = at + index.ndim + 1 if at < 0 else at
    shape = [1] * (index.ndim + 1)
    shape[at] = depth
    rows = to_tensor(np.arange(depth, dtype=np.int64).reshape(shape), call.device)
    return where(rows.eq(_wrapped(index, depth).unsqueeze(at)), values[1], values[0])


@from_onnx("NonZero")
def _non_zero(call: Call) -> Operand:
    x = call.operand(0)
    if isinstance(x, Tensor):
        found = x.nonzero()
        assert isinstance(found, Tensor)
        return found.t()
    return np.array(np.nonzero(x), np.int64)
