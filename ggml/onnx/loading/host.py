"""Arithmetic of shapes: nodes whose operands are known without computing are worked out by numpy, in their dtypes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.onnx.call import Call
from ggml.onnx.limits import need_few

Array = NDArray[Any]

_DTYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64, 9: np.bool_,
           10: np.float16, 11: np.float64, 12: np.uint32, 13: np.uint64}  # fmt: skip


def _truncated(a: Array, b: Array) -> Array:
    """ONNX divides integers towards 0, numpy downwards."""
    if a.dtype.kind not in "iu":
        return np.asarray(a / b)
    quotient = np.abs(a) // np.abs(b)
    return np.asarray(np.where((a < 0) != (b < 0), -quotient, quotient).astype(a.dtype))


_PAIRS: dict[str, Callable[[Array, Array], Any]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": _truncated, "Equal": np.equal, "Less": np.less,
    "LessOrEqual": np.less_equal, "Greater": np.greater, "GreaterOrEqual": np.greater_equal, "And": np.logical_and,
    "Or": np.logical_or, "Xor": np.logical_xor, "Min": np.minimum, "Max": np.maximum,
}  # fmt: skip

_SINGLES: dict[str, Callable[[Array], Any]] = {
    "Neg": np.negative, "Abs": np.abs, "Not": np.logical_not, "Floor": np.floor, "Ceil": np.ceil, "Sqrt": np.sqrt,
}  # fmt: skip

_REDUCED: dict[str, tuple[Callable[..., Any], int]] = {
    "ReduceProd": (np.prod, 18), "ReduceSum": (np.sum, 13), "ReduceMax": (np.max, 18), "ReduceMin": (np.min, 18),
}  # fmt: skip


def run(call: Call) -> Array | None:
    """The result, or None where the function of the table has to answer."""
    arrays = [one for one in call.inputs if isinstance(one, np.ndarray)]
    if not arrays or len(arrays) != len(call.inputs):
        return None
    if call.op in _PAIRS and len(arrays) == 2:
        need_few(call.where, np.broadcast_shapes(*[one.shape for one in arrays]))
        with np.errstate(all="ignore"):
            return np.asarray(_PAIRS[call.op](*arrays))
    if call.op in _SINGLES:
        with np.errstate(all="ignore"):
            return np.asarray(_SINGLES[call.op](arrays[0]))
    if call.op == "Cast" and call.attribute("to") in _DTYPES:
        with np.errstate(all="ignore"):
            return arrays[0].astype(_DTYPES[call.attribute("to")])
    if call.op == "Where":
        need_few(call.where, np.broadcast_shapes(*[one.shape for one in arrays]))
        return np.where(*arrays)
    if call.op in _REDUCED:
        return _reduce(call, arrays[0])
    return None


def _reduce(call: Call, x: Array) -> Array | None:
    function, since = _REDUCED[call.op]
    axes = call.ints_or(1, "axes", since)
    if not axes:
        if call.attribute("noop_with_empty_axes", 0):
            return x
        axes = list(range(x.ndim))
    if x.size == 0 and call.op in ("ReduceMax", "ReduceMin"):
        return None
    kind = {"dtype": x.dtype} if call.op in ("ReduceProd", "ReduceSum") else {}
    return np.asarray(function(x, axis=tuple(axes), keepdims=bool(call.attribute("keepdims", 1)), **kind))
