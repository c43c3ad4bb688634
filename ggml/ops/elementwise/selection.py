"""Elements of one tensor or another: by a mask, or by bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import F32, NUMERIC, PLAIN
from ggml.core.errors import ArgumentError, DTypeError
from ggml.core.node import Node
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.ops.elementwise.arithmetic import maximum, minimum
from ggml.ops.elementwise.binary import Operand
from ggml.ops.elementwise.pointwise import isnan
from ggml.registry.arguments import (
    Number,
    broadcast,
    convert,
    element,
    number,
    result_type,
    tensor,
)
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor, filled


def _lower_where(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    type = node.dtype.ggml_type if node.dtype.is_integer else F32
    left, right = (b.cast(value, type) for value in values[1:])
    return b.map("where", values[0], left, right, shape=node.shape)


def _as_tensor(name: str, value: Operand, like: Tensor, dtype: dtypes.DType) -> Tensor:
    if isinstance(value, Tensor):
        return convert(value, dtype)
    return filled((), value, dtype, like.device)


@op(runs="kernel", sample="where", lower=_lower_where, dtypes=PLAIN, methods=())
def where(condition: Tensor, input: Operand, other: Operand) -> Tensor:
    """``input`` where ``condition`` holds, ``other`` elsewhere; all three broadcast."""
    chosen = tensor("where", condition, "condition")
    if chosen.dtype is not dtypes.bool_:
        raise DTypeError("where", "a bool condition", chosen.dtype)
    a = tensor("where", input) if isinstance(input, Tensor) else number("where", input, "input")
    b = tensor("where", other, "other") if isinstance(other, Tensor) else number("where", other, "other")
    dtype = result_type(a, b)
    left, right = _as_tensor("where", a, chosen, dtype), _as_tensor("where", b, chosen, dtype)
    shape = broadcast("where", chosen._node.shape, left._node.shape, right._node.shape)
    return make("where", (chosen, left, right), (), shape, dtype)


def at_least(x: Tensor, least: float) -> Tensor:
    """``x.clamp(min=least)`` as PyTorch's losses clamp: the gradient passes also where the value was too small."""
    if not x.requires_grad:
        clamped: Tensor = x.clamp(min=least)
        return clamped
    return where(x.lt(least), x - x.detach() + least, x)


@op(runs="composed", sample="where_method", dtypes=PLAIN, torch="Tensor.where", methods=("where",))
def where_method(input: Tensor, condition: Tensor, other: Operand) -> Tensor:
    """The method: ``input`` where ``condition`` holds, ``other`` elsewhere."""
    return where(condition, input, other)


@op(runs="composed", sample="masked_fill", dtypes=PLAIN, torch="Tensor.masked_fill", inplace=True)
def masked_fill(input: Tensor, mask: Tensor, value: Operand) -> Tensor:
    """``value`` where ``mask`` holds."""
    x, chosen = tensor("masked_fill", input), tensor("masked_fill", mask, "mask")
    return where(chosen, element("masked_fill", value, x), x)


def _lower_clamp(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    low, high = params[:2]
    if b.device.is_cpu:
        raised = b.map("maximum", values[0], b.scalar(low, F32), shape=node.shape)
        return b.map("minimum", raised, b.scalar(high, F32), shape=node.shape)
    return b.unary("clamp", values[0], low, high)


def bounded(x: Tensor, low: float, high: float) -> Tensor:
    """``clamp`` to numbers, whose derivative at the bounds is 0, as that of PyTorch's activations is."""
    return make("clamp", (x,), (low, high, True), x._node.shape, x._node.dtype)


@op(runs="mixed", sample="clamp", lower=_lower_clamp, dtypes=NUMERIC, inplace=True)
def clamp(input: Tensor, min: Operand | None = None, max: Operand | None = None) -> Tensor:
    """Elements below ``min`` become ``min``, those above ``max`` become ``max``. A NaN stays."""
    x = tensor("clamp", input)
    if min is None and max is None:
        raise ArgumentError("clamp", "min and max", "must not both be None")
    bounds = (min, max)
    if x.is_floating_point() and not any(isinstance(bound, Tensor) for bound in bounds):
        low = -math.inf if min is None else float(number("clamp", min, "min"))
        high = math.inf if max is None else float(number("clamp", max, "max"))
        if low == low and high == high:
            return make("clamp", (x,), (low, high), x._node.shape, x._node.dtype)
    known = [
        bound if isinstance(bound, Tensor) else number("clamp", bound, "a bound")
        for bound in bounds
        if bound is not None
    ]
    dtype = result_type(x, *known)
    if dtype is dtypes.bool_:
        raise DTypeError("clamp", "numbers", dtype)
    x = convert(x, dtype)
    low_tensor, high_tensor = (None if bound is None else _as_tensor("clamp", bound, x, dtype) for bound in bounds)
    raised = x if low_tensor is None else maximum(x, low_tensor)
    return raised if high_tensor is None else minimum(raised, high_tensor)


@op(runs="composed", sample="unary_special", inplace=True)
def nan_to_num(
    input: Tensor, nan: Number | None = 0.0, posinf: Number | None = None, neginf: Number | None = None
) -> Tensor:
    """Finite numbers in place of NaN and of the infinities (the largest and smallest by default)."""
    x = tensor("nan_to_num", input)
    if not x.is_floating_point():
        return x
    nan = 0.0 if nan is None else nan
    for value in (nan, posinf, neginf):
        if value is not None:
            number("nan_to_num", value, "a replacement")
    largest = {"float16": 65504.0, "bfloat16": 3.3895313892515355e38}.get(x.dtype.name, 3.4028234663852886e38)
    high = largest if posinf is None else posinf
    low = -largest if neginf is None else neginf
    known = where(isnan(x), float(nan), x)
    return convert(where(known.eq(math.inf), float(high), where(known.eq(-math.inf), float(low), known)), x.dtype)
