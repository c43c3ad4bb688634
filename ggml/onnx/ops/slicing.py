"""Parts of a tensor, and what is added around one."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from ggml.core.errors import ArgumentError, ShapeMismatchError, UnsupportedOpError
from ggml.nn import functional as F
from ggml.onnx.call import Call
from ggml.onnx.element_types import to_tensor
from ggml.onnx.limits import need_few
from ggml.onnx.sizes import Extent
from ggml.onnx.step import Step, Variant
from ggml.onnx.subgraph import Operand
from ggml.onnx.table import from_onnx, to_onnx
from ggml.onnx.writer import Writer
from ggml.tensors.tensor import Tensor

_TO_THE_END = (1 << 63) - 1


@to_onnx("strided_slice", knows_sizes=True)
def _slice(w: Writer, step: Step) -> str:
    steps = step.params[1]

    def starts(one: Variant) -> Any:
        return one.params[0]

    def ends(one: Variant) -> list[int]:
        first, by = starts(one), one.params[1]
        return [a + s * (n - 1) + (1 if s > 0 else -1) for a, s, n in zip(first, by, one.shape, strict=True)]  # type: ignore[call-overload]

    axes = [
        at for at in range(len(step.shape))
        if steps[at] != 1 or not step.agrees(lambda one, at=at: one.shape[at], lambda one, at=at: one.inputs[0][at])  # type: ignore[misc]
    ]  # fmt: skip
    if not axes:
        return step.inputs[0]
    if any(step.varying(lambda one: one.params[1])):  # type: ignore[arg-type, return-value]
        raise UnsupportedOpError("onnx.export: a slice", "ONNX", "its step depends on the sizes of the inputs")
    first, last = step.extents(starts), [_end(step, ends, at) for at in range(len(steps))]
    parts = [w.vector([row[at] for at in axes]) for row in (first, last)]
    return w.emit("Slice", step.inputs[0], *parts, w.ints(axes), w.ints([steps[at] for at in axes]))


def _end(step: Step, ends: Any, at: int) -> Extent:
    """Where a slice ends along an axis: written as the end of the axis where it always is."""
    if step.params[1][at] < 0:
        values = [ends(one)[at] for one in step.variants]
        return -_TO_THE_END - 1 if set(values) == {-1} else step.extents(lambda one: [ends(one)[at]])[0]
    if all(ends(one)[at] == one.inputs[0][at] for one in step.variants):
        return _TO_THE_END
    return step.extents(lambda one: [ends(one)[at]])[0]


@to_onnx("flip")
def _flip(w: Writer, step: Step) -> str:
    axes = list(step.params[0])
    if not axes:
        return w.emit("Identity", step.inputs[0])
    count = len(axes)
    ends = w.ints([-_TO_THE_END - 1] * count)
    return w.emit("Slice", step.inputs[0], w.ints([-1] * count), ends, w.ints(axes), w.ints([-1] * count))


@to_onnx("constant_pad")
def _pad(w: Writer, step: Step) -> str:
    low, high, bits = step.params
    raw = struct.pack("<q", bits)
    forms = {"float32": np.float32, "float16": np.float16, "int32": np.int32, "int64": np.int64, "bool": np.float32}
    if step.dtype.name not in forms:
        raise UnsupportedOpError("onnx.export: pad", "ONNX", f"padding of {step.dtype}; pad in float32")
    value = np.frombuffer(raw, forms[step.dtype.name], 1)[0].item()
    return w.emit("Pad", step.inputs[0], w.ints([*low, *high]), w.scalar(value, step.dtype))


@from_onnx("Slice")
def _slice_here(call: Call) -> Operand:
    x = call.operand(0)
    if call.opset < 10:
        starts, ends = list(call.attribute("starts")), list(call.attribute("ends"))
        axes, steps = list(call.attribute("axes") or range(len(starts))), [1] * len(starts)
    else:
        starts, ends = call.ints(1), call.ints(2)
        axes = call.ints(3) if call.has(3) else list(range(len(starts)))
        steps = call.ints(4) if call.has(4) else [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise ArgumentError(call.where, "starts, ends, axes and steps", "must be as many, and no step 0")
    parts = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        at = axis + x.ndim if axis < 0 else axis
        if not 0 <= at < x.ndim:
            raise ShapeMismatchError(call.where, f"an axis {axis}", tuple(x.shape))
        parts[at] = _clamped(start, end, step, x.shape[at])
    return _cut(x, parts)


def _clamped(start: int, end: int, step: int, extent: int) -> slice:
    """ONNX's bounds as Python's: what lies before the first element is None for a step backwards."""
    first, last, by = slice(start, end, step).indices(extent)
    return slice(first, None if last < 0 else last, by) if by < 0 else slice(first, max(first, last), by)


def _cut(x: Operand, parts: list[slice]) -> Operand:
    if not isinstance(x, Tensor):
        return x[tuple(parts)]
    for at, part in enumerate(parts):
        if part.step is not None and part.step < 0:
            places = range(x.shape[at])[part]
            # Backwards: turn the axis, then step forwards from its mirrored place.
            x = x.flip(at)
            begin = x.shape[at] - 1 - places.start if len(places) else 0
            parts[at] = slice(begin, begin + (len(places) - 1) * -part.step + 1 if len(places) else begin, -part.step)
    return x[tuple(parts)]


@from_onnx("Split")
def _split(call: Call) -> Any:
    x, at = call.operand(0), call.attribute("axis", 0)
    at = at + x.ndim if at < 0 else at
    if not 0 <= at < x.ndim:
        raise ShapeMismatchError(call.where, f"an axis {at}", tuple(x.shape))
    lengths = call.ints_or(1, "split", 13)
    if lengths is None:
        size = -(-x.shape[at] // call.num_outputs)
        lengths = [max(min(size, x.shape[at] - size * place), 0) for place in range(call.num_outputs)]
    if sum(lengths) != x.shape[at] or min(lengths, default=0) < 0 or len(lengths) != call.num_outputs:
        raise ShapeMismatchError(call.where, f"{call.num_outputs} lengths that add up to {x.shape[at]}", tuple(lengths))
    ends = np.cumsum(lengths)
    parts = tuple(
        _cut(x, [slice(None)] * at + [slice(int(end) - length, int(end))])
        for end, length in zip(ends, lengths, strict=True)
    )
    return parts if len(parts) > 1 else parts[0]


@from_onnx("Pad")
def _pad_here(call: Call) -> Tensor:
    x, mode = call.tensor(0), call.attribute("mode", "constant")
    pads = call.ints_or(1, "pads", 11) or []
    axes = [at + x.ndim if at < 0 else at for at in (call.ints(3) if call.has(3) else range(x.ndim))]
    if len(pads) != 2 * len(axes) or any(not 0 <= at < x.ndim for at in axes):
        raise ShapeMismatchError(call.where, f"two pads for each of the axes {axes}", tuple(pads))
    low, high = [0] * x.ndim, [0] * x.ndim
    for place, at in enumerate(axes):
        low[at], high[at] = pads[place], pads[place + len(axes)]
    if mode == "constant":
        value = call.attribute("value", 0.0) if call.opset < 11 else call.number(2) if call.has(2) else 0
        sides = [side for at in range(x.ndim - 1, -1, -1) for side in (low[at], high[at])]
        return F.pad(x, sides, "constant", value)
    return _by_places(call, x, low, high, mode)


def _by_places(call: Call, x: Tensor, low: list[int], high: list[int], mode: str) -> Tensor:
    """The modes that repeat the input, over any axes: each element of the result names one of the input."""
    kinds = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}
    if mode not in kinds:
        raise call.refuse(f"mode {mode!r}")
    how: Any = kinds[mode]
    for at in range(x.ndim):
        if low[at] or high[at]:
            need_few(call.where, (x.shape[at] + max(low[at], 0) + max(high[at], 0),))
            places = np.pad(np.arange(x.shape[at]), (max(low[at], 0), max(high[at], 0)), mode=how)
            places = places[max(-low[at], 0) : len(places) - max(-high[at], 0)]
            index = to_tensor(places, call.device)
            x = x.index_select(at, index)
    return x
