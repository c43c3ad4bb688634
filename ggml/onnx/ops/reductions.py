"""Sums, means, extremes and places along axes; running sums; sorting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ggml.core import dtypes
from ggml.onnx.call import Call
from ggml.onnx.step import Step
from ggml.onnx.table import from_onnx, to_onnx
from ggml.onnx.writer import Writer
from ggml.tensors.tensor import Tensor

_ROWS = {"sum": "ReduceSum", "mean": "ReduceMean", "prod": "ReduceProd", "amax": "ReduceMax", "amin": "ReduceMin"}


@to_onnx(*_ROWS)
def _reduced(w: Writer, step: Step) -> str:
    x, is_bool = step.inputs[0], step.dtype is dtypes.bool_
    if is_bool:
        x = w.cast(x, dtypes.int32)
    keeps = int(len(step.shape) == len(step.input_shapes[0]))
    found = w.emit(_ROWS[step.row], x, w.ints(list(step.params[0])), keepdims=keeps, noop_with_empty_axes=1)
    return w.cast(found, dtypes.bool_) if is_bool else found


@to_onnx("any", "all")
def _any(w: Writer, step: Step) -> str:
    keeps = int(len(step.shape) == len(step.input_shapes[0]))
    numbers = w.cast(w.cast(step.inputs[0], dtypes.bool_), dtypes.int32)
    op = "ReduceMax" if step.row == "any" else "ReduceMin"
    found = w.emit(op, numbers, w.ints(list(step.params[0])), keepdims=keeps, noop_with_empty_axes=1)
    return w.cast(found, dtypes.bool_)


@to_onnx("argmax", "argmin")
def _place(w: Writer, step: Step) -> str:
    (dims,), x = step.params, step.inputs[0]
    op = {"argmax": "ArgMax", "argmin": "ArgMin"}[step.row]
    if len(dims) == 1:
        return w.emit(op, x, axis=dims[0], keepdims=int(len(step.shape) == len(step.input_shapes[0])))
    found = w.emit(op, w.emit("Reshape", x, w.ints([-1])), axis=0, keepdims=0)
    return w.emit("Reshape", found, w.ints(step.shape))


@to_onnx("argsort")
def _argsort(w: Writer, step: Step) -> str:
    at, is_descending = step.params
    count = w.emit("Shape", step.inputs[0], start=at, end=at + 1)
    return w.emit_several("TopK", 2, step.inputs[0], count, axis=at, largest=int(is_descending))[1]


@to_onnx("cumsum")
def _cumsum(w: Writer, step: Step) -> str:
    return w.emit("CumSum", step.inputs[0], w.constant(np.array(step.params[0], np.int64)))


@to_onnx("tril", "triu")
def _triangle(w: Writer, step: Step) -> str:
    k, upper = w.constant(np.array(step.params[0], np.int64)), int(step.row == "triu")
    if step.dtype is not dtypes.bool_:
        return w.emit("Trilu", step.inputs[0], k, upper=upper)
    numbers = w.cast(step.inputs[0], dtypes.int64)
    return w.cast(w.emit("Trilu", numbers, k, upper=upper), dtypes.bool_)


def _sum(x: Tensor, dims: list[int], keeps: bool) -> Tensor:
    return x.sum(dims, keeps, dtype=x.dtype)


def _prod(x: Tensor, dims: list[int], keeps: bool) -> Tensor:
    for dim in sorted((d % x.ndim for d in dims), reverse=True):
        x = x.prod(dim, keeps, dtype=x.dtype)
    return x


def _mean(x: Tensor, dims: list[int], keeps: bool) -> Tensor:
    return x.mean(dims, keeps) if x.is_floating_point() else x.float().mean(dims, keeps).to(x.dtype)


def _log_sum_exp(x: Tensor, dims: list[int], keeps: bool) -> Tensor:
    return x.logsumexp(dims, keeps)


#: How each reduces, and since which opset its axes are an input.
_KINDS: dict[str, tuple[Callable[[Tensor, list[int], bool], Any], int]] = {
    "ReduceSum": (_sum, 13),
    "ReduceMean": (_mean, 18),
    "ReduceProd": (_prod, 18),
    "ReduceMax": (lambda x, dims, keeps: x.amax(dims, keeps), 18),
    "ReduceMin": (lambda x, dims, keeps: x.amin(dims, keeps), 18),
    "ReduceL1": (lambda x, dims, keeps: _sum(x.abs(), dims, keeps), 18),
    "ReduceL2": (lambda x, dims, keeps: _sum(x * x, dims, keeps).sqrt(), 18),
    "ReduceSumSquare": (lambda x, dims, keeps: _sum(x * x, dims, keeps), 18),
    "ReduceLogSum": (lambda x, dims, keeps: _sum(x, dims, keeps).log(), 18),
    "ReduceLogSumExp": (_log_sum_exp, 18),
}


@from_onnx(*_KINDS)
def _reduced_here(call: Call) -> Any:
    function, since = _KINDS[call.op]
    axes = call.ints_or(1, "axes", since)
    if not axes:
        if call.attribute("noop_with_empty_axes", 0):
            return _without_axes(call)
        axes = list(range(call.tensor(0).ndim))
    if not axes:  # a tensor without axes is its own sum
        return _without_axes(call)
    return function(call.tensor(0), axes, bool(call.attribute("keepdims", 1)))


def _without_axes(call: Call) -> Tensor:
    """What each element becomes where nothing is reduced."""
    x = call.tensor(0)
    if call.op in ("ReduceL1", "ReduceL2"):
        return x.abs()
    if call.op == "ReduceSumSquare":
        return x * x
    return x.log() if call.op == "ReduceLogSum" else x


@from_onnx("ArgMax", "ArgMin")
def _place_here(call: Call) -> Tensor:
    x, at, keeps = call.tensor(0), call.attribute("axis", 0), bool(call.attribute("keepdims", 1))
    if call.attribute("select_last_index", 0):
        found = _place_of(call, x.flip(at), at, keeps)
        mirrored: Tensor = (x.shape[at] - 1) - found
        return mirrored
    return _place_of(call, x, at, keeps)


def _place_of(call: Call, x: Tensor, at: int, keeps: bool) -> Tensor:
    return x.argmax(at, keeps) if call.op == "ArgMax" else x.argmin(at, keeps)


@from_onnx("TopK")
def _topk(call: Call) -> Any:
    x = call.tensor(0)
    count = call.number(1) if call.opset >= 10 else call.attribute("k")
    found = x.topk(int(count), call.attribute("axis", -1), bool(call.attribute("largest", 1)))
    return found.values, found.indices


@from_onnx("CumSum")
def _cumsum_here(call: Call) -> Tensor:
    x, at = call.tensor(0), int(call.number(1))
    turned = x.flip(at) if call.attribute("reverse", 0) else x
    total = turned.cumsum(at, dtype=x.dtype)
    total = total - turned if call.attribute("exclusive", 0) else total
    return total.flip(at) if call.attribute("reverse", 0) else total


@from_onnx("Trilu")
def _trilu(call: Call) -> Tensor:
    x, k = call.tensor(0), int(call.number(1)) if call.has(1) else 0
    return x.triu(k) if call.attribute("upper", 1) else x.tril(k)
