"""Whether one operand is equal to another, less or close; and the logic of what is true."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import PLAIN
from ggml.core.node import Node
from ggml.graph.builder import Builder, Lower
from ggml.graph.value import Value
from ggml.ops.elementwise.binary import Operand, by_kernel, checked_operand, join
from ggml.registry.arguments import broadcast, convert, number, result_type, tensor
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor


def _comparison(name: str, sign: str) -> Callable[[Operand, Operand], Tensor]:
    def function(input: Operand, other: Operand) -> Tensor:
        a, b = checked_operand(name, input, "input"), checked_operand(name, other, "other")
        return join(name, a, b, result_type(a, b), dtypes.bool_)

    function.__name__, function.__doc__ = name, f"Whether ``input {sign} other``. A NaN equals nothing."
    return op(runs="kernel", sample="binary", lower=by_kernel(name), dtypes=PLAIN, inplace=True)(function)


eq = _comparison("eq", "==")


ne = _comparison("ne", "!=")


lt = _comparison("lt", "<")


le = _comparison("le", "<=")


gt = _comparison("gt", ">")


ge = _comparison("ge", ">=")


def _lower_logical(name: str) -> Lower:
    def lower(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
        left, right = (b.to_dtype(value, dtypes.bool_) for value in values)
        return b.map(name, left, right, shape=node.shape)

    return lower


def _logical(name: str, word: str) -> Callable[[Tensor, Tensor], Tensor]:
    def function(input: Tensor, other: Tensor) -> Tensor:
        a, b = tensor(name, input), tensor(name, other, "other")
        return make(name, (a, b), (), broadcast(name, a._node.shape, b._node.shape), dtypes.bool_)

    function.__name__, function.__doc__ = name, f"Logical {word} of whether the elements differ from 0."
    row = op(runs="kernel", sample="binary_tensors", lower=_lower_logical(name), dtypes=PLAIN, inplace=True)
    return row(function)


logical_and = _logical("logical_and", "and")


logical_or = _logical("logical_or", "or")


logical_xor = _logical("logical_xor", "exclusive or")


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """Whether ``|input - other| <= atol + rtol * |other|``; equal infinities are close."""
    a, b = tensor("isclose", input), tensor("isclose", other, "other")
    if a.dtype is b.dtype is dtypes.bool_:
        a, b = convert(a, dtypes.float32), convert(b, dtypes.float32)
    relative, absolute = number("isclose", rtol, "rtol"), number("isclose", atol, "atol")
    is_near = le((a - b).abs(), b.abs() * relative + absolute) & b.abs().ne(math.inf)
    close = logical_or(eq(a, b), is_near)
    return logical_or(close, logical_and(ne(a, a), ne(b, b))) if equal_nan else close


isclose = op(runs="composed", sample="binary_floats")(isclose)
