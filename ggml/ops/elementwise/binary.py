"""What rows of two operands share: how numbers and tensors are joined, and their kernels."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from ggml.core.dtypes import ALL, F32, Category, DType
from ggml.core.errors import DTypeError
from ggml.core.node import Node
from ggml.graph.builder import Builder, Lower
from ggml.graph.value import Value
from ggml.registry.arguments import Number, broadcast, number, result_type, tensor
from ggml.registry.table import make
from ggml.tensors.tensor import Tensor

Operand = Tensor | Number

# Where the number stands: nowhere, second, first.
NO_NUMBER, NUMBER_SECOND, NUMBER_FIRST = 0, 1, 2
_NO_SCALAR = (0, 0)


def checked_operand(name: str, value: Any, argument: str) -> Operand:
    return tensor(name, value, argument) if isinstance(value, Tensor) else number(name, value, argument)


def join(name: str, a: Operand, b: Operand, common: DType, result: DType) -> Tensor:
    """The node of two operands that are computed in ``common``. Its parameters: where a number stands, the number with
    its sign, and the name of ``common``."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        shape = broadcast(name, a._node.shape, b._node.shape)
        return make(name, (a, b), (NO_NUMBER, _NO_SCALAR, common.name), shape, result)
    if isinstance(a, Tensor):
        position, one, value = NUMBER_SECOND, a, b
    elif isinstance(b, Tensor):
        position, one, value = NUMBER_FIRST, b, a
    else:
        raise DTypeError(name, "at least one tensor", "two numbers")
    assert not isinstance(value, Tensor)
    # 0.0 and -0.0 are equal, and so are 1 and True: the sign keeps their graphs apart.
    sign = math.copysign(1.0, value)
    return make(name, (one,), (position, (value, sign), common.name), one._node.shape, result)


def binary(name: str, input: Any, other: Any, *, refuse: tuple[Category, ...] = ()) -> Tensor:
    """The node of an operation whose result has the promoted dtype."""
    a, b = checked_operand(name, input, "input"), checked_operand(name, other, "other")
    common = result_type(a, b)
    if common.category in refuse:
        raise DTypeError(name, "other dtypes", common)
    return join(name, a, b, common, common)


def _compute_type(common: DType) -> int:
    return common.ggml_type if common.is_integer else F32


def pair(b: Builder, values: Sequence[Value], params: tuple[Any, ...]) -> tuple[Value, Value]:
    position, (scalar, _), common = params
    type = _compute_type(ALL[common])
    operands = [b.cast(value, type) for value in values]
    if position == NO_NUMBER:
        return operands[0], operands[1]
    constant = b.scalar(scalar, type)
    return (operands[0], constant) if position == NUMBER_SECOND else (constant, operands[0])


def by_kernel(name: str, on_bool: str | None = None) -> Lower:
    """Our kernel, by that name for each type; bools may have another."""

    def lower(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
        left, right = pair(b, values, params)
        is_bool = params[2] == "bool"
        return b.map(on_bool if is_bool and on_bool else name, left, right, shape=node.shape)

    return lower


@functools.cache
def reflected(function: Callable[..., Tensor]) -> Callable[[Tensor, Operand], Tensor]:
    """The operator for ``number op tensor``."""
    return lambda self, other: function(other, self)
