"""Tensors joined, and repeated."""

from __future__ import annotations

import math

import numpy as np

from ggml.onnx.call import Call
from ggml.onnx.limits import need_few
from ggml.onnx.step import Step
from ggml.onnx.subgraph import Operand
from ggml.onnx.table import from_onnx, to_onnx
from ggml.onnx.writer import Writer
from ggml.ops.shape.concatenation import cat
from ggml.tensors.tensor import Tensor


@to_onnx("cat")
def _cat(w: Writer, step: Step) -> str:
    given = zip(step.inputs, step.dtypes, strict=True)
    parts = [name if own is step.dtype else w.cast(name, step.dtype) for name, own in given]
    return w.emit("Concat", *parts, axis=step.params[0])


@to_onnx("repeat", knows_sizes=True)
def _repeat(w: Writer, step: Step) -> str:
    counts = step.extents(lambda one: one.params[0])  # type: ignore[arg-type, return-value]
    x, missing = step.inputs[0], len(counts) - len(step.input_shapes[0])
    if missing:
        x = w.emit("Unsqueeze", x, w.ints(list(range(missing))))
    return w.emit("Tile", x, w.vector(counts))


@from_onnx("Concat")
def _concat(call: Call) -> Operand:
    at = call.attribute("axis", 1)
    arrays = [one for one in call.inputs if isinstance(one, np.ndarray)]
    if len(arrays) == len(call.inputs):
        need_few(call.where, (sum(one.size for one in arrays),))
        return np.concatenate(arrays, at)
    return cat([call.tensor(place) for place in range(len(call.inputs))], at)


@from_onnx("Tile")
def _tile(call: Call) -> Operand:
    x, counts = call.operand(0), call.ints(1)
    if isinstance(x, Tensor):
        return x.repeat(*counts)
    need_few(call.where, (x.size * math.prod(counts),))
    return np.tile(x, counts)
