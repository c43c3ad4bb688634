"""Arithmetic of two operands: sums, products, quotients, powers, and the larger or smaller of two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import ALL, F32, NUMERIC, PLAIN, Category
from ggml.core.errors import ArgumentError, DTypeError
from ggml.core.node import Node
from ggml.graph.builder import Builder, Lower
from ggml.graph.value import Value
from ggml.ops.elementwise.binary import (
    NUMBER_FIRST,
    NUMBER_SECOND,
    Operand,
    binary,
    by_kernel,
    checked_operand,
    join,
    pair,
)
from ggml.registry.arguments import Number, convert, number, result_type, tensor
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor


def _native(name: str, on_bool: str | None, by_number: Callable[[float, bool], tuple[float, float] | None]) -> Lower:
    """ggml's operation for floats; with a number, a scale and a bias where ``by_number`` knows them."""
    on_others = by_kernel(name, on_bool)

    def lower(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
        position, (scalar, _), common = params
        if not ALL[common].is_floating_point:
            return on_others(b, values, params, node)
        scaled = by_number(scalar, position == NUMBER_FIRST) if position else None
        if scaled is not None and all(map(_fits_float32, scaled)):
            return b.scale(b.cast(values[0], F32), *scaled)
        left, right = pair(b, values, params)
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
    value = checked_operand(name, other, "other")
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
    a, b = checked_operand("add", input, "input"), checked_operand("add", other, "other")
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
    a, b = checked_operand("sub", input, "input"), checked_operand("sub", other, "other")
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
    a, b = checked_operand("div", input, "input"), checked_operand("div", other, "other")
    common = result_type(a, b)
    floating = common if common.is_floating_point else dtypes.float32
    return join("div", a, b, floating, floating)


@op(runs="kernel", sample="internal", lower=by_kernel("trunc_div"), dtypes=NUMERIC, torch="div", methods=())
def trunc_divide(input: Operand, other: Operand) -> Tensor:
    """``div`` with ``rounding_mode="trunc"``."""
    return binary("trunc_divide", input, other, refuse=(Category.BOOL,))


@op(runs="kernel", sample="division", lower=by_kernel("floor_div"), dtypes=NUMERIC, inplace=True)
def floor_divide(input: Operand, other: Operand) -> Tensor:
    """The quotient rounded down."""
    return binary("floor_divide", input, other, refuse=(Category.BOOL,))


@op(runs="kernel", sample="division", lower=by_kernel("remainder"), dtypes=NUMERIC, inplace=True)
def remainder(input: Operand, other: Operand) -> Tensor:
    """Python's ``%``: what is left has the sign of ``other``."""
    return binary("remainder", input, other, refuse=(Category.BOOL,))


@op(runs="kernel", sample="division", lower=by_kernel("fmod"), dtypes=NUMERIC, inplace=True)
def fmod(input: Operand, other: Operand) -> Tensor:
    """C's ``fmod``: what is left has the sign of ``input``."""
    return binary("fmod", input, other, refuse=(Category.BOOL,))


def _lower_pow(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    position, (exponent, _), common = params
    if position == NUMBER_SECOND and ALL[common].is_floating_point:
        base = b.cast(values[0], F32)
        if exponent == 2:
            return b.unary("sqr", base)
        if exponent == 0.5:
            return b.unary("sqrt", base)
        if exponent in (-0.5, -1):
            return b.map("rsqrt" if exponent == -0.5 else "reciprocal", base)
    return by_kernel("pow")(b, values, params, node)


@op(runs="mixed", sample="power", lower=_lower_pow, dtypes=NUMERIC, inplace=True)
def pow(input: Operand, exponent: Operand) -> Tensor:
    """``input ** exponent``."""
    if isinstance(input, Tensor) and not isinstance(exponent, Tensor):
        power = number("pow", exponent, "exponent")
        if isinstance(power, int) and power < 0 and not input.is_floating_point():
            raise ArgumentError("pow", "exponent", "of integers must not be negative")
    return binary("pow", input, exponent, refuse=(Category.BOOL,))


@op(runs="kernel", sample="binary_tensors", lower=by_kernel("maximum"), dtypes=PLAIN)
def maximum(input: Tensor, other: Tensor) -> Tensor:
    """The larger of two elements; a NaN wins."""
    return binary("maximum", tensor("maximum", input), tensor("maximum", other, "other"))


@op(runs="kernel", sample="binary_tensors", lower=by_kernel("minimum"), dtypes=PLAIN)
def minimum(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of two elements; a NaN wins."""
    return binary("minimum", tensor("minimum", input), tensor("minimum", other, "other"))


def floating_pair(name: str, text: str, place: str | None = None) -> Callable[[Tensor, Tensor], Tensor]:
    """The row of a kernel of two floats. Not all of them take numbers."""
    first, second = (checked_operand if name in taking else tensor for taking in (("zeta",), ("copysign", "zeta")))
    is_method = place is None or place == name

    def function(input: Tensor, other: Tensor) -> Tensor:
        a, b = first(name, input, "input"), second(name, other, "other")
        common = result_type(a, b)
        floating = common if common.is_floating_point else dtypes.float32
        if name == "nextafter" and floating is not dtypes.float32:
            raise DTypeError(name, "float32, whose neighbours it knows", floating)
        return join(name, a, b, floating, floating)

    function.__name__, function.__doc__ = name, text
    row = op(
        runs="kernel",
        sample="binary_floats" if place is None else f"pair_{name}",
        lower=by_kernel(name),
        torch=place,
        methods=None if is_method else (),
        inplace=is_method,
    )
    return row(function)


atan2 = floating_pair("atan2", "The angle of the point (other, input), in radians.")


hypot = floating_pair("hypot", "The length of the vector (input, other).")


copysign = floating_pair("copysign", "The size of ``input`` with the sign of ``other``.")
