"""Branches and loops: which graph runs, and how often, is decided while the model is called."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ggml.core import tracing
from ggml.core.errors import ArgumentError, ShapeMismatchError, TracingError
from ggml.onnx.call import Call
from ggml.onnx.element_types import here, to_tensor
from ggml.onnx.limits import need_few
from ggml.onnx.subgraph import Operand, Subgraph, Value
from ggml.onnx.table import from_onnx
from ggml.ops.elementwise.selection import where
from ggml.ops.shape.concatenation import stack
from ggml.tensors.eval import eval as compute
from ggml.tensors.tensor import Tensor, filled


@from_onnx("If")
def _if(call: Call) -> tuple[Operand, ...]:
    branches = [call.subgraph(name, 0, call.num_outputs) for name in ("then_branch", "else_branch")]
    condition = call.operand(0)
    try:
        chosen = branches[0 if _holds(call, condition, "the condition") else 1]
    except TracingError:
        return _either(call, call.tensor(0), *branches)
    return tuple(chosen())


def _either(call: Call, condition: Tensor, yes: Subgraph, no: Subgraph) -> tuple[Operand, ...]:
    """While a function is recorded there is no condition yet: both branches are computed, and results chosen."""
    found: list[Operand] = []
    for one, other in zip(yes(), no(), strict=True):
        left, right = _tensor(call, one), _tensor(call, other)
        if left.dtype is not right.dtype or left.shape != right.shape:
            forms = f"{left.dtype} {tuple(left.shape)} and {right.dtype} {tuple(right.shape)}"
            why = f"its branches give {forms}; while a function is recorded both are computed, and must be alike"
            raise TracingError(call.where, why)
        found.append(where(condition.reshape(()), left, right))
    return tuple(found)


@from_onnx("Loop")
def _loop(call: Call) -> tuple[Operand, ...]:
    num_carried = max(len(call.inputs) - 2, 0)
    body = call.subgraph("body", num_carried + 2, call.num_outputs + 1)
    num_rows = call.num_outputs - num_carried
    if num_rows < 0:
        raise ArgumentError(call.where, "its outputs", f"are {call.num_outputs} for {num_carried} carried values")
    carried = [call.operand(2 + place) for place in range(num_carried)]
    trips = _trips(call)
    going = _holds(call, call.operand(1), "the condition") if call.has(1) else True
    rows: list[list[Operand]] = [[] for _ in range(num_rows)]
    count = 0
    while going and (trips is None or count < trips):
        number, goes = np.array(count, np.int64), np.array(going)
        results = body(_as_declared(number, body.inputs[0]), _as_declared(goes, body.inputs[1]), *carried)
        carried = results[1 : 1 + num_carried]
        _keep(rows, results[1 + num_carried :])
        _settle([*carried, *[one[-1] for one in rows]])
        count += 1
        if trips is None or count < trips:  # else nobody reads it, and in a recording it need not have a value
            going = _holds(call, results[0], "the condition of its body")
    declared = body.outputs[1 + num_carried :]
    return (*carried, *[_joined(call, one, value, 0) for one, value in zip(rows, declared, strict=True)])


def _trips(call: Call) -> int | None:
    """The most iterations of a loop, or None."""
    if not call.has(0):
        return None
    found = call.ints(0)
    if len(found) != 1:
        raise ArgumentError(call.where, "the trip count", f"must be one number, not {len(found)}")
    return found[0]


@from_onnx("Scan")
def _scan(call: Call) -> tuple[Operand, ...]:
    if call.opset < 9:
        raise call.refuse("Scan is read from opset 9 on, where it has no axis of batches")
    num_read = call.attribute("num_scan_inputs", 0)
    num_carried = len(call.inputs) - num_read
    if num_read < 1 or num_carried < 0 or call.num_outputs < num_carried:
        raise ArgumentError(call.where, "num_scan_inputs", f"is {num_read}, of {len(call.inputs)} inputs")
    body = call.subgraph("body", len(call.inputs), call.num_outputs)
    sources = _sources(call, num_carried, num_read)
    num_rows = call.num_outputs - num_carried
    axes = _each(call, "scan_output_axes", num_rows)
    backwards = _each(call, "scan_output_directions", num_rows)
    carried = [call.operand(place) for place in range(num_carried)]
    rows: list[list[Operand]] = [[] for _ in range(num_rows)]
    for place in range(sources[0].length):
        results = body(*carried, *[one.at(place) for one in sources])
        carried = results[:num_carried]
        _keep(rows, results[num_carried:])
        _settle([*carried, *[one[-1] for one in rows]])
    found = []
    for one, value, axis, is_backwards in zip(rows, body.outputs[num_carried:], axes, backwards, strict=True):
        found.append(_joined(call, one[::-1] if is_backwards else one, value, axis))
    return (*carried, *found)


class _Source(NamedTuple):
    """What a scan reads along an axis, forwards or backwards."""

    value: Operand
    axis: int
    is_backwards: bool

    @property
    def length(self) -> int:
        return self.value.shape[self.axis]

    def at(self, place: int) -> Operand:
        place = self.length - 1 - place if self.is_backwards else place
        if isinstance(self.value, Tensor):
            return self.value.select(self.axis, place)
        return np.asarray(np.take(self.value, place, self.axis))


def _sources(call: Call, first: int, count: int) -> list[_Source]:
    axes, backwards = _each(call, "scan_input_axes", count), _each(call, "scan_input_directions", count)
    found = []
    for place, axis, is_backwards in zip(range(first, first + count), axes, backwards, strict=True):
        value = call.operand(place)
        if not -value.ndim <= axis < value.ndim:
            raise ShapeMismatchError(call.where, f"an axis {axis}", tuple(value.shape))
        found.append(_Source(value, axis % value.ndim, bool(is_backwards)))
    lengths = tuple(one.length for one in found)
    if len(set(lengths)) > 1:
        raise ShapeMismatchError(call.where, "scanned axes of one length", lengths)
    return found


def _each(call: Call, name: str, count: int) -> list[int]:
    """An attribute with a number for each of so many values, by default 0."""
    found = list(call.attribute(name) or [0] * count)
    if len(found) != count:
        raise ArgumentError(call.where, name, f"has {len(found)} numbers for {count} values")
    return found


def _holds(call: Call, value: Operand, what: str) -> bool:
    """The truth of a condition, which is computed for it."""
    array: Any = value.numpy() if isinstance(value, Tensor) else value
    if array.size != 1 or array.dtype.kind != "b":
        raise ArgumentError(call.where, what, f"must be one bool, not {array.dtype} {array.shape}")
    return bool(array.reshape(-1)[0])


def _as_declared(value: np.ndarray[Any, Any], declared: Value) -> Operand:
    """A number with the axis that older files say it has."""
    return value.reshape((1,)) if declared.shape is not None and len(declared.shape) == 1 else value


def _keep(rows: list[list[Operand]], results: list[Operand]) -> None:
    for one, result in zip(rows, results, strict=True):
        one.append(result)


def _settle(values: list[Operand]) -> None:
    """Compute what an iteration made, so that no graph grows with their number."""
    tensors = [one for one in values if isinstance(one, Tensor)]
    if tensors and not tracing.is_active():
        compute(tensors)


def _joined(call: Call, rows: list[Operand], declared: Value, axis: int) -> Operand:
    """The results of all iterations along a new axis; of none, what the file says of one."""
    if not rows:
        shape = [one if isinstance(one, int) else 0 for one in declared.shape or ()]
        shape.insert(axis if axis >= 0 else axis + len(shape) + 1, 0)
        return filled(tuple(shape), 0, here(declared.element_type, call.where), call.device)
    arrays = [one for one in rows if isinstance(one, np.ndarray)]
    if len(arrays) == len(rows):
        need_few(call.where, (len(arrays), arrays[0].size))
        return np.stack(arrays, axis)
    return stack([_tensor(call, one) for one in rows], axis)


def _tensor(call: Call, value: Operand) -> Tensor:
    return value if isinstance(value, Tensor) else to_tensor(value, call.device)
