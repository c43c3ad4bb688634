"""Other shapes of the same elements, and what is known of shapes."""

from __future__ import annotations

import math

import numpy as np

from ggml.core.errors import ShapeMismatchError
from ggml.onnx.call import Call
from ggml.onnx.element_types import dtype_of_array, here, to_tensor
from ggml.onnx.limits import need_few
from ggml.onnx.sizes import Extent
from ggml.onnx.step import Step
from ggml.onnx.subgraph import Operand
from ggml.onnx.table import from_onnx, to_onnx
from ggml.onnx.writer import Writer
from ggml.tensors.tensor import Tensor, filled


@to_onnx("reshape", knows_sizes=True)
def _reshape(w: Writer, step: Step) -> str:
    """One extent that varies is -1; those that stay in their place are 0, ONNX's word for that."""
    varying = step.varying(lambda one: one.shape)
    if sum(varying) == 0:
        return w.reshape(step.inputs[0], list(step.shape))
    wanted: list[Extent | None] = [
        None if varies else extent for varies, extent in zip(varying, step.shape, strict=True)
    ]
    for at in range(min(len(step.shape), len(step.input_shapes[0]))):
        if varying[at] and step.agrees(lambda one, at=at: one.shape[at], lambda one, at=at: one.inputs[0][at]):  # type: ignore[misc]
            wanted[at] = 0
    left = [at for at, one in enumerate(wanted) if one is None]
    if len(left) == 1:
        wanted[left[0]] = -1
    elif left:
        whole = step.result
        wanted = [whole[at] if varying[at] else extent for at, extent in enumerate(step.shape)]
    return w.reshape(step.inputs[0], [one for one in wanted if one is not None])


@to_onnx("expand", knows_sizes=True)
def _expand(w: Writer, step: Step) -> str:
    return w.emit("Expand", step.inputs[0], w.vector(step.result))


@to_onnx("permute")
def _permute(w: Writer, step: Step) -> str:
    return w.emit("Transpose", step.inputs[0], perm=list(step.params[0]))


@from_onnx("Reshape")
def _reshape_here(call: Call) -> Operand:
    x = call.operand(0)
    wanted = list(call.attribute("shape")) if call.opset < 5 else call.ints(1)
    if not call.attribute("allowzero", 0):
        if any(one == 0 and at >= x.ndim for at, one in enumerate(wanted)):
            raise ShapeMismatchError(call.where, "an axis to keep for each 0", (tuple(x.shape), tuple(wanted)))
        wanted = [x.shape[at] if one == 0 else one for at, one in enumerate(wanted)]
    return x.reshape(wanted)


@from_onnx("Transpose")
def _transpose(call: Call) -> Operand:
    x = call.operand(0)
    order = list(call.attribute("perm") or reversed(range(x.ndim)))
    return x.permute(order) if isinstance(x, Tensor) else x.transpose(order)


@from_onnx("Flatten")
def _flatten(call: Call) -> Operand:
    x, at = call.operand(0), call.attribute("axis", 1)
    at = at + x.ndim if at < 0 else at
    return x.reshape(math.prod(x.shape[:at]), math.prod(x.shape[at:]))


@from_onnx("Squeeze")
def _squeeze(call: Call) -> Operand:
    x = call.operand(0)
    axes = call.ints_or(1, "axes", 13)
    if axes is None:
        return x.reshape([extent for extent in x.shape if extent != 1])
    dropped = {at + x.ndim if at < 0 else at for at in axes}
    if any(not 0 <= at < x.ndim or x.shape[at] != 1 for at in dropped):
        raise ShapeMismatchError(call.where, f"axes {axes} with one element each", tuple(x.shape))
    return x.reshape([extent for at, extent in enumerate(x.shape) if at not in dropped])


@from_onnx("Unsqueeze")
def _unsqueeze(call: Call) -> Operand:
    x, axes = call.operand(0), call.ints_or(1, "axes", 13) or []
    rank = x.ndim + len(axes)
    added = {at + rank if at < 0 else at for at in axes}
    if len(added) != len(axes) or any(not 0 <= at < rank for at in added):
        raise ShapeMismatchError(call.where, f"different axes below {rank}", tuple(axes))
    extents = iter(x.shape)
    return x.reshape([1 if at in added else next(extents) for at in range(rank)])


@from_onnx("Expand")
def _expand_here(call: Call) -> Operand:
    x, wanted = call.operand(0), call.ints(1)
    shape = np.broadcast_shapes(tuple(x.shape), tuple(wanted))
    if isinstance(x, Tensor):
        return x.expand(shape)
    need_few(call.where, shape)
    return np.broadcast_to(x, shape)


@from_onnx("Shape")
def _shape(call: Call) -> Operand:
    shape = list(call.operand(0).shape)
    start, end = call.attribute("start", 0), call.attribute("end", len(shape))
    return np.array(shape[slice(start, end)], np.int64)


@from_onnx("Size")
def _size(call: Call) -> Operand:
    return np.array(math.prod(call.operand(0).shape), np.int64)


@from_onnx("Constant")
def _constant(call: Call) -> Operand:
    if "value" in call.attributes:
        found: Operand = call.attributes["value"]
        return found
    for name, kind in (("value_float", np.float32), ("value_floats", np.float32), ("value_int", np.int64),
                       ("value_ints", np.int64)):  # fmt: skip
        if name in call.attributes:
            return np.array(call.attributes[name], kind)
    raise call.refuse("constants of texts, or that are sparse")


@from_onnx("ConstantOfShape")
def _constant_of_shape(call: Call) -> Operand:
    value = call.attribute("value")
    one = np.zeros(1, np.float32) if value is None else value
    shape = tuple(call.ints(0))
    if one.size != 1 or any(extent < 0 for extent in shape):
        raise ShapeMismatchError(call.where, "one value, and extents that are not negative", shape)
    if math.prod(shape) <= 1 << 16:
        return np.full(shape, one.reshape(-1)[0], one.dtype)
    return filled(shape, one.reshape(-1)[0].item(), dtype_of_array(one), call.device)


@from_onnx("Range")
def _range(call: Call) -> Operand:
    start, limit, delta = (call.array(at).reshape(-1)[0] for at in range(3))
    count = max(math.ceil((float(limit) - float(start)) / float(delta)), 0) if delta else -1
    need_few(call.where, (count,))
    return np.asarray((start + np.arange(count) * delta).astype(start.dtype))


@from_onnx("EyeLike")
def _eye_like(call: Call) -> Operand:
    x = call.operand(0)
    need_few(call.where, tuple(x.shape))
    found = np.eye(x.shape[0], x.shape[1], call.attribute("k", 0), dtype=np.float32)
    number = call.attribute("dtype")
    if number is None and isinstance(x, np.ndarray):
        return found.astype(x.dtype)
    like = to_tensor(found, call.device)
    return like.to(here(number, call.where) if number else call.tensor(0).dtype)
