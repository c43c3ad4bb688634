"""Two operands, broadcast against each other; either may be a Python number."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import ALL, F32, INTEGER, NUMERIC, PLAIN, Category, DType
from ggml.core.errors import ArgumentError, DTypeError
from ggml.core.node import Node
from ggml.graph.builder import Builder, Lower
from ggml.graph.value import Value
from ggml.registry.arguments import Number, broadcast, convert, number, result_type, tensor
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor

Operand = Tensor | Number

# Where the number stands: nowhere, second, first.
_NONE, _SECOND, _FIRST = 0, 1, 2


def _operand(name: str, value: Any, argument: str) -> Operand:
    return tensor(name, value, argument) if isinstance(value, Tensor) else number(name, value, argument)


def _join(name: str, a: Operand, b: Operand, common: DType, result: DType) -> Tensor:
    """The node of two operands that are computed in ``common``."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        shape = broadcast(name, a._node.shape, b._node.shape)
        return make(name, (a, b), (_NONE, 0, 0, common.name), shape, result)
    if isinstance(a, Tensor):
        position, one, value = _SECOND, a, b
    elif isinstance(b, Tensor):
        position, one, value = _FIRST, b, a
    else:
        raise DTypeError(name, "at least one tensor", "two numbers")
    assert not isinstance(value, Tensor)
    # 0.0 and -0.0 are equal, and so are 1 and True: the sign keeps their graphs apart.
    sign = math.copysign(1.0, value)
    return make(name, (one,), (position, value, sign, common.name), one._node.shape, result)


def binary(name: str, input: Any, other: Any, *, refuse: tuple[Category, ...] = ()) -> Tensor:
    """The node of an operation whose result has the promoted dtype."""
    a, b = _operand(name, input, "input"), _operand(name, other, "other")
    common = result_type(a, b)
    if common.category in refuse:
        raise DTypeError(name, "other dtypes", common)
    return _join(name, a, b, common, common)


def _compute_type(common: DType) -> int:
    return common.ggml_type if common.is_integer else F32


def _pair(b: Builder, values: Sequence[Value], params: tuple[Any, ...]) -> tuple[Value, Value]:
    position, scalar, _, common = params
    type = _compute_type(ALL[common])
    operands = [b.cast(value, type) for value in values]
    if position == _NONE:
        return operands[0], operands[1]
    constant = b.scalar(scalar, type)
    return (operands[0], constant) if position == _SECOND else (constant, operands[0])


def _kernel(name: str, on_bool: str | None = None) -> Lower:
    """Our kernel, by that name for each type; bools may have another."""

    def lower(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
        left, right = _pair(b, values, params)
        is_bool = params[3] == "bool"
        return b.map(on_bool if is_bool and on_bool else name, left, right, shape=node.shape)

    return lower


def _native(name: str, on_bool: str | None, by_number: Callable[[float, bool], tuple[float, float] | None]) -> Lower:
    """ggml's operation for floats; with a number, a scale and a bias where ``by_number`` knows them."""
    on_others = _kernel(name, on_bool)

    def lower(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
        position, scalar, _, common = params
        if not ALL[common].is_floating_point:
            return on_others(b, values, params, node)
        scaled = by_number(scalar, position == _FIRST) if position else None
        if scaled is not None and all(map(_fits_float32, scaled)):
            return b.scale(b.cast(values[0], F32), *scaled)
        left, right = _pair(b, values, params)
        return b.binary(name, left, right, node.shape)

    return lower


def _fits_float32(value: float) -> bool:
    return value == 0 or 1e-38 < abs(value) < 3e38


def _add_number(value: float, is_first: bool) -> tuple[float, float]:
    return 1.0, float(value)


def _sub_number(value: float, is_first: bool) -> tuple[float, float]:
    return (-1.0, float(value)) if is_first else (1.0, -float(value))


def _mul_number(value: float, is_first: bool) -> tuple[float, float]:
    return float(value), 0.0


def _div_number(value: float, is_first: bool) -> tuple[float, float] | None:
    return None if is_first or value == 0 else (1.0 / value, 0.0)


def _scaled_by(name: str, other: Any, alpha: Number) -> Any:
    if alpha == 1 and not isinstance(alpha, bool):
        return other
    factor = number(name, alpha, "alpha")
    value = _operand(name, other, "other")
    if isinstance(factor, float) and isinstance(value, Tensor) and not value.is_floating_point():
        raise DTypeError(name, f"an integral alpha for {value.dtype}", alpha)
    return mul(value, factor) if isinstance(value, Tensor) else value * factor


def _plus_scaled(name: str, a: Operand, b: Operand, alpha: Number, refuse: tuple[Category, ...] = ()) -> Tensor:
    """``a + alpha * b`` or ``a - alpha * b``; floats are rounded once, at the end."""
    common = result_type(a, b)
    if alpha == 1 or not common.is_floating_point or not isinstance(b, Tensor) or not b.is_floating_point():
        return binary(name, a, _scaled_by(name, b, alpha), refuse=refuse)
    wide = convert(a, dtypes.float32) if isinstance(a, Tensor) else a
    return convert(binary(name, wide, _scaled_by(name, convert(b, dtypes.float32), alpha)), common)


@op(runs="mixed", sample="binary", lower=_native("add", "logical_or", _add_number), dtypes=PLAIN, inplace=True)
def add(input: Operand, other: Operand, *, alpha: Number = 1) -> Tensor:
    """``input + alpha * other``."""
    a, b = _operand("add", input, "input"), _operand("add", other, "other")
    is_bool = not isinstance(alpha, bool) and alpha != 1 and result_type(a, b) is dtypes.bool_
    if is_bool and isinstance(b, bool):
        return binary("add", a, b and bool(number("add", alpha, "alpha")))
    return _plus_scaled("add", a, b, bool(number("add", alpha, "alpha")) if is_bool else alpha)


@op(runs="mixed", sample="binary", lower=_native("sub", None, _sub_number), dtypes=NUMERIC, inplace=True)
def sub(input: Operand, other: Operand, *, alpha: Number = 1) -> Tensor:
    """``input - alpha * other``."""
    for operand in (input, other):
        if isinstance(operand, bool) or (isinstance(operand, Tensor) and operand.dtype is dtypes.bool_):
            raise DTypeError("sub", "numbers (for bools use logical_xor)", dtypes.bool_)
    a, b = _operand("sub", input, "input"), _operand("sub", other, "other")
    return _plus_scaled("sub", a, b, alpha, (Category.BOOL,))


@op(runs="composed", sample="binary", dtypes=NUMERIC)
def rsub(input: Operand, other: Operand, *, alpha: Number = 1) -> Tensor:
    """``other - alpha * input``."""
    return sub(other, input, alpha=alpha)


@op(runs="mixed", sample="binary", lower=_native("mul", "logical_and", _mul_number), dtypes=PLAIN, inplace=True)
def mul(input: Operand, other: Operand) -> Tensor:
    """``input * other``."""
    return binary("mul", input, other)


def _lower_div(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    return _native("div", None, _div_number)(b, values, params, node)


@op(
    runs="mixed",
    sample="division",
    lower=_lower_div,
    dtypes=PLAIN,
    inplace=True,
    differs="Division by a number multiplies with its reciprocal: the last bit may differ.",
)
def div(input: Operand, other: Operand, *, rounding_mode: str | None = None) -> Tensor:
    """``input / other``; ``rounding_mode`` is None, ``"trunc"`` or ``"floor"``."""
    if rounding_mode == "trunc":
        return binary("trunc_divide", input, other, refuse=(Category.BOOL,))
    if rounding_mode == "floor":
        return floor_divide(input, other)
    if rounding_mode is not None:
        raise ArgumentError("div", "rounding_mode", f"must be None, 'trunc' or 'floor', not {rounding_mode!r}")
    a, b = _operand("div", input, "input"), _operand("div", other, "other")
    common = result_type(a, b)
    floating = common if common.is_floating_point else dtypes.float32
    return _join("div", a, b, floating, floating)


@op(runs="kernel", sample="internal", lower=_kernel("trunc_div"), dtypes=NUMERIC, torch="div", methods=())
def trunc_divide(input: Operand, other: Operand) -> Tensor:
    """``div`` with ``rounding_mode="trunc"``."""
    return binary("trunc_divide", input, other, refuse=(Category.BOOL,))


@op(runs="kernel", sample="division", lower=_kernel("floor_div"), dtypes=NUMERIC, inplace=True)
def floor_divide(input: Operand, other: Operand) -> Tensor:
    """The quotient rounded down."""
    return binary("floor_divide", input, other, refuse=(Category.BOOL,))


@op(runs="kernel", sample="division", lower=_kernel("remainder"), dtypes=NUMERIC, inplace=True)
def remainder(input: Operand, other: Operand) -> Tensor:
    """Python's ``%``: what is left has the sign of ``other``."""
    return binary("remainder", input, other, refuse=(Category.BOOL,))


@op(runs="kernel", sample="division", lower=_kernel("fmod"), dtypes=NUMERIC, inplace=True)
def fmod(input: Operand, other: Operand) -> Tensor:
    """C's ``fmod``: what is left has the sign of ``input``."""
    return binary("fmod", input, other, refuse=(Category.BOOL,))


def _lower_pow(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    position, exponent, _, common = params
    if position == _SECOND and ALL[common].is_floating_point:
        base = b.cast(values[0], F32)
        if exponent == 2:
            return b.unary("sqr", base)
        if exponent == 0.5:
            return b.unary("sqrt", base)
        if exponent in (-0.5, -1):
            return b.map("rsqrt" if exponent == -0.5 else "reciprocal", base)
    return _kernel("pow")(b, values, params, node)


@op(runs="mixed", sample="power", lower=_lower_pow, dtypes=NUMERIC, inplace=True)
def pow(input: Operand, exponent: Operand) -> Tensor:
    """``input ** exponent``."""
    if isinstance(input, Tensor) and not isinstance(exponent, Tensor):
        power = number("pow", exponent, "exponent")
        if isinstance(power, int) and power < 0 and not input.is_floating_point():
            raise ArgumentError("pow", "exponent", "of integers must not be negative")
    return binary("pow", input, exponent, refuse=(Category.BOOL,))


@op(runs="kernel", sample="binary_tensors", lower=_kernel("maximum"), dtypes=PLAIN)
def maximum(input: Tensor, other: Tensor) -> Tensor:
    """The larger of two elements; a NaN wins."""
    return binary("maximum", tensor("maximum", input), tensor("maximum", other, "other"))


@op(runs="kernel", sample="binary_tensors", lower=_kernel("minimum"), dtypes=PLAIN)
def minimum(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of two elements; a NaN wins."""
    return binary("minimum", tensor("minimum", input), tensor("minimum", other, "other"))


def floating_pair(name: str, text: str, place: str | None = None) -> Callable[[Tensor, Tensor], Tensor]:
    """The row of a kernel of two floats. Not all of them take numbers."""
    first, second = (_operand if name in taking else tensor for taking in (("zeta",), ("copysign", "zeta")))
    is_method = place is None or place == name

    def function(input: Tensor, other: Tensor) -> Tensor:
        a, b = first(name, input, "input"), second(name, other, "other")
        common = result_type(a, b)
        floating = common if common.is_floating_point else dtypes.float32
        if name == "nextafter" and floating is not dtypes.float32:
            raise DTypeError(name, "float32, whose neighbours it knows", floating)
        return _join(name, a, b, floating, floating)

    function.__name__, function.__doc__ = name, text
    row = op(
        runs="kernel",
        sample="binary_floats" if place is None else f"pair_{name}",
        lower=_kernel(name),
        torch=place,
        methods=None if is_method else (),
        inplace=is_method,
    )
    return row(function)


atan2 = floating_pair("atan2", "The angle of the point (other, input), in radians.")
hypot = floating_pair("hypot", "The length of the vector (input, other).")
copysign = floating_pair("copysign", "The size of ``input`` with the sign of ``other``.")


def _comparison(name: str, sign: str) -> Callable[[Operand, Operand], Tensor]:
    def function(input: Operand, other: Operand) -> Tensor:
        a, b = _operand(name, input, "input"), _operand(name, other, "other")
        return _join(name, a, b, result_type(a, b), dtypes.bool_)

    function.__name__, function.__doc__ = name, f"Whether ``input {sign} other``. A NaN equals nothing."
    return op(runs="kernel", sample="binary", lower=_kernel(name), dtypes=PLAIN, inplace=True)(function)


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


def _bitwise(name: str, kernel: str, on_bool: str | None) -> Callable[[Operand, Operand], Tensor]:
    def function(input: Operand, other: Operand) -> Tensor:
        refuse = (Category.FLOATING,) if on_bool else (Category.FLOATING, Category.BOOL)
        return binary(name, input, other, refuse=refuse)

    function.__name__, function.__doc__ = name, f"Bits of two integers: {name}."
    kinds = (*INTEGER, dtypes.bool_) if on_bool else INTEGER
    row = op(runs="kernel", sample="bitwise", lower=_kernel(kernel, on_bool), dtypes=kinds, inplace=True)
    return row(function)


bitwise_and = _bitwise("bitwise_and", "bit_and", "logical_and")
bitwise_or = _bitwise("bitwise_or", "bit_or", "logical_or")
bitwise_xor = _bitwise("bitwise_xor", "bit_xor", "logical_xor")
bitwise_left_shift = _bitwise("bitwise_left_shift", "shift_left", None)
bitwise_right_shift = _bitwise("bitwise_right_shift", "shift_right", None)


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


@functools.cache
def reflected(function: Callable[..., Tensor]) -> Callable[[Tensor, Operand], Tensor]:
    """The operator for ``number op tensor``."""
    return lambda self, other: function(other, self)
