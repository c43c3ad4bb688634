"""Attention, written as products and a softmax."""

from __future__ import annotations

import math

from ggml.core import dtypes
from ggml.core.errors import ArgumentError, ShapeMismatchError
from ggml.nn import functional as F
from ggml.onnx.call import Call
from ggml.onnx.step import Step
from ggml.onnx.table import from_onnx, to_onnx
from ggml.onnx.writer import Writer
from ggml.tensors.tensor import Tensor


@to_onnx("attend", knows_sizes=True)
def _attend(w: Writer, step: Step) -> str:
    """ONNX has an operation of this name from opset 23 on only."""
    scale, is_causal = step.params[:2]
    query, key, value, *bias = (
        name if own is step.dtype else w.cast(name, step.dtype)
        for name, own in zip(step.inputs, step.dtypes, strict=True)
    )
    key, value = (_repeated(w, step, name, at) for name, at in ((key, 1), (value, 2)))
    scores = w.emit("MatMul", query, w.emit("Transpose", key, perm=[0, 1, 3, 2]))
    scores = w.emit("Mul", scores, w.scalar(scale, step.dtype))
    if bias:
        scores = w.emit("Add", scores, bias[0])
    if is_causal:
        scores = w.emit("Add", scores, _causal(w, step))
    weights = w.emit("Softmax", scores, axis=-1)
    if bias:  # a query that sees no key gets 0, where softmax answers NaN
        weights = w.emit("Where", w.emit("IsNaN", weights), w.scalar(0.0, step.dtype), weights)
    return w.emit("MatMul", weights, value)


def _repeated(w: Writer, step: Step, name: str, at: int) -> str:
    """Keys or values of which each head serves several of the query."""
    heads, own = step.input_shapes[0][1], step.input_shapes[at][1]
    if heads == own:
        return name
    batch, _, length, width = step.extents(lambda one: one.inputs[at])
    wide = w.emit("Expand", w.emit("Unsqueeze", name, w.ints([2])), w.vector([batch, own, heads // own, length, width]))
    return w.emit("Reshape", wide, w.ints([0, heads, -1, step.input_shapes[at][3]]))


def _causal(w: Writer, step: Step) -> str:
    """[L, S] with -inf where key j lies behind query i."""
    length = step.extents(lambda one: one.inputs[0][2:3])
    others = step.extents(lambda one: one.inputs[1][2:3])
    begin, by = w.scalar(0, dtypes.int64), w.scalar(1, dtypes.int64)
    none = w.emit("Reshape", w.vector(length), w.ints([])), w.emit("Reshape", w.vector(others), w.ints([]))
    rows, columns = (w.emit("Range", begin, end, by) for end in none)
    hidden = w.emit("Greater", columns, w.emit("Unsqueeze", rows, w.ints([1])))
    return w.emit("Where", hidden, w.scalar(-math.inf, step.dtype), w.scalar(0.0, step.dtype))


@to_onnx("_rotate")
def _rotate(w: Writer, step: Step) -> str:
    """``input * cos + rotate_half(input) * sin``."""
    x, cos, sin = step.inputs
    width = step.input_shapes[0][-1]
    low, high = w.emit_several("Split", 2, x, w.ints([width // 2, width - width // 2]), axis=-1)
    turned = w.emit("Concat", w.emit("Neg", high), low, axis=-1)
    return w.emit("Add", w.emit("Mul", x, cos), w.emit("Mul", turned, sin))


@from_onnx("Attention")
def _attention(call: Call) -> Tensor:
    if call.num_outputs > 1 or call.has(4) or call.has(5) or call.has(6):
        raise call.refuse("caches and scores as results of attention")
    if any(call.attribute(f"{side}_window_size", -1) != -1 for side in ("left", "right")):
        raise call.refuse("attention in windows")
    if call.attribute("softcap", 0.0) or call.attribute("softmax_precision") not in (None, 1):
        raise call.refuse("softcap and softmax_precision")
    parts = [call.tensor(at) for at in range(3)]
    is_flat = parts[0].ndim == 3
    if is_flat:
        heads = call.attribute("q_num_heads"), *[call.attribute("kv_num_heads")] * 2
        parts = [_heads(call, part, count) for part, count in zip(parts, heads, strict=True)]
    query, key, value = parts
    mask = call.tensor_or_none(3)
    result = F.scaled_dot_product_attention(
        query, key, value, mask, is_causal=bool(call.attribute("is_causal", 0)), scale=call.attribute("scale"),
        enable_gqa=query.shape[1] != key.shape[1],
    )  # fmt: skip
    if not is_flat:
        return result
    return result.transpose(1, 2).reshape(result.shape[0], result.shape[2], -1)


def _heads(call: Call, part: Tensor, count: int | None) -> Tensor:
    """[N, L, heads * width] as [N, heads, L, width]."""
    if not count or part.shape[-1] % count:
        raise ArgumentError(call.where, "the numbers of heads", f"must be given and divide {part.shape[-1]}: {count}")
    if part.ndim != 3:
        raise ShapeMismatchError(call.where, "[N, L, heads * width]", tuple(part.shape))
    return part.reshape(part.shape[0], part.shape[1], count, -1).transpose(1, 2)
