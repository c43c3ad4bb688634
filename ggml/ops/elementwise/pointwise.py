"""One operand, element by element; and the choice between two."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import F32, NUMERIC, PLAIN, Category
from ggml.core.errors import DTypeError
from ggml.core.node import Node
from ggml.graph.builder import Builder, Lower
from ggml.graph.value import Value
from ggml.registry.arguments import (
    convert,
    floating,
    integer,
    tensor,
)
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor

Unary = Callable[[Tensor], Tensor]


def native(name: str) -> Lower:
    """ggml's operation of that name."""
    return lambda b, values, params, node: b.unary(name, values[0])


def kernel(name: str, gpu: str | None = None) -> Lower:
    """Our kernel of that name; on other devices ggml's, where it differs only for a NaN."""

    def lower(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
        if gpu is not None and not b.device.is_cpu and values[0].type == F32:
            return b.unary(gpu, values[0])
        return b.map(name, values[0])

    return lower


def _exponential(name: str) -> Lower:
    """Our vector kernel of that name; on other devices ggml's operation."""
    return lambda b, values, params, node: b.exponential(name, values[0])


def _float_row(name: str, lower: Lower, text: str, runs: Any, sample: str = "unary", differs: str = "") -> Unary:
    """A row for which integers become float32."""

    def function(input: Tensor) -> Tensor:
        x = floating(name, input)
        return make(name, (x,), (), x._node.shape, x._node.dtype)

    function.__name__, function.__doc__ = name, text
    row = op(runs=runs, sample=sample, lower=lower, dtypes=PLAIN, inplace=True, differs=differs)
    return row(function)


def _ggml(name: str, text: str, differs: str = "") -> Unary:
    return _float_row(name, native(name), text, "ggml", differs=differs)


def _ours(name: str, text: str, sample: str = "unary") -> Unary:
    return _float_row(name, kernel(name), text, "kernel", sample)


exp = _float_row("exp", _exponential("exp"), "e to the power of each element.", "mixed")


expm1 = _ggml("expm1", "``exp(input) - 1``, exact near 0.")


log = _ggml("log", "The natural logarithm.")


sqrt = _ggml("sqrt", "The square root.")


def root(x: Tensor) -> Tensor:
    """The square root whose derivative at 0 is 0 and not infinite, as that of norms and deviations is in PyTorch."""
    return make("sqrt", (x,), (True,), x._node.shape, x._node.dtype)


sin = _ggml("sin", "The sine of an angle in radians.")


cos = _ggml("cos", "The cosine of an angle in radians.")


tanh = _float_row("tanh", _exponential("tanh"), "The hyperbolic tangent.", "mixed")


sigmoid = _float_row("sigmoid", _exponential("sigmoid"), "``1 / (1 + exp(-input))``.", "mixed")


log1p = _ours("log1p", "``log(1 + input)``, exact near 0.")


log2 = _ours("log2", "The logarithm to base 2.")


log10 = _ours("log10", "The logarithm to base 10.")


exp2 = _ours("exp2", "2 to the power of each element.")


rsqrt = _ours("rsqrt", "``1 / sqrt(input)``.")


reciprocal = _ours("reciprocal", "``1 / input``.")


tan = _ours("tan", "The tangent of an angle in radians.")


asin = _ours("asin", "The inverse sine.")


acos = _ours("acos", "The inverse cosine.")


atan = _ours("atan", "The inverse tangent.")


sinh = _ours("sinh", "The hyperbolic sine.")


cosh = _ours("cosh", "The hyperbolic cosine.")


asinh = _ours("asinh", "The inverse hyperbolic sine.")


acosh = _ours("acosh", "The inverse hyperbolic cosine.")


atanh = _ours("atanh", "The inverse hyperbolic tangent.")


erf = _float_row("erf", lambda b, values, params, node: b.exp_rows("erf", values[0]), "The error function.", "kernel")


erfc = _ours("erfc", "``1 - erf(input)``, exact for large elements.")


erfinv = _ours("erfinv", "The inverse of the error function.")


lgamma = _ours("lgamma", "The logarithm of the absolute value of the gamma function.")


digamma = _ours("digamma", "The derivative of ``lgamma``.", "unary_loose")


def _kept_row(name: str, on_float: Lower, on_integer: Lower | None, text: str, runs: Any) -> Unary:
    """A row that keeps the dtype; None for integers means that they stay as they are."""

    def lower(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
        if values[0].type == F32:
            return on_float(b, values, params, node)
        return values[0] if on_integer is None else on_integer(b, values, params, node)

    def function(input: Tensor) -> Tensor:
        x = tensor(name, input)
        if x._node.dtype.category is Category.BOOL:
            if name == "sign":
                return x.detach()
            raise DTypeError(name, "numbers", x.dtype)
        return make(name, (x,), (), x._node.shape, x._node.dtype)

    function.__name__, function.__doc__ = name, text
    row = op(runs=runs, sample="unary", lower=lower, dtypes=NUMERIC, inplace=True)
    return row(function)


neg = _kept_row("neg", native("neg"), kernel("neg"), "``-input``.", "mixed")


abs = _kept_row("abs", native("abs"), kernel("abs"), "The absolute value.", "mixed")


sign = _kept_row("sign", kernel("sign", "sgn"), kernel("sign"), "-1, 0 or 1; 0 for a NaN.", "mixed")


floor = _kept_row("floor", native("floor"), None, "Rounded down.", "ggml")


ceil = _kept_row("ceil", native("ceil"), None, "Rounded up.", "ggml")


trunc = _kept_row("trunc", native("trunc"), None, "Rounded towards 0.", "ggml")


def _lower_round(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    return b.map("round", values[0]) if values[0].type == F32 else values[0]


@op(runs="kernel", sample="unary", lower=_lower_round, dtypes=NUMERIC, inplace=True)
def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """Rounded to the nearest integer, halves to the even one; ``decimals`` places behind the point."""
    x = tensor("round", input)
    if x.dtype is dtypes.bool_:
        raise DTypeError("round", "numbers", x.dtype)
    places = integer("round", decimals, "decimals")
    if places and x.is_floating_point():
        factor, wide = (10.0**size if (size := builtin_abs(places)) < 39 else math.inf), convert(x, dtypes.float32)
        return convert(round(wide * factor) / factor if places > 0 else round(wide / factor) * factor, x.dtype)
    return make("round", (x,), (), x._node.shape, x._node.dtype)


def builtin_abs(value: int) -> int:
    return value if value >= 0 else -value


@op(runs="kernel", sample="unary", lower=kernel("frac"), inplace=True)
def frac(input: Tensor) -> Tensor:
    """What is behind the point, with the sign of the element."""
    x = tensor("frac", input)
    if not x.is_floating_point():
        raise DTypeError("frac", "a floating dtype", x.dtype)
    return make("frac", (x,), (), x._node.shape, x._node.dtype)


@op(runs="composed", sample="unary", dtypes=PLAIN, inplace=True)
def square(input: Tensor) -> Tensor:
    """``input * input``."""
    x = tensor("square", input)
    return x.pow(2) if x.dtype is not dtypes.bool_ else convert(x, dtypes.int64)


def _predicate(name: str, text: str, on_integers: float) -> Unary:
    def lower(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
        return b.map(name, values[0]) if values[0].type == F32 else b.full(on_integers, F32, node.shape)

    def function(input: Tensor) -> Tensor:
        x = tensor(name, input)
        return make(name, (x,), (), x._node.shape, dtypes.bool_)

    function.__name__, function.__doc__ = name, text
    return op(runs="kernel", sample="unary_special", lower=lower, dtypes=PLAIN)(function)


isnan = _predicate("isnan", "Whether an element is not a number.", 0)


isinf = _predicate("isinf", "Whether an element is infinite.", 0)


isfinite = _predicate("isfinite", "Whether an element is neither infinite nor NaN.", 1)


def _lower_logical_not(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    return b.map("logical_not", b.to_dtype(values[0], dtypes.bool_))


@op(runs="kernel", sample="unary_any", lower=_lower_logical_not, dtypes=PLAIN, inplace=True)
def logical_not(input: Tensor) -> Tensor:
    """Whether an element is 0."""
    x = tensor("logical_not", input)
    return make("logical_not", (x,), (), x._node.shape, dtypes.bool_)


def _lower_bitwise_not(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    return b.map("logical_not" if node.dtype is dtypes.bool_ else "bit_not", values[0])


@op(runs="kernel", sample="unary_integer", lower=_lower_bitwise_not, dtypes=(*dtypes.INTEGER, dtypes.bool_),
    inplace=True)  # fmt: skip
def bitwise_not(input: Tensor) -> Tensor:
    """Each bit inverted; ``logical_not`` for bools."""
    x = tensor("bitwise_not", input)
    if x.is_floating_point():
        raise DTypeError("bitwise_not", "integers or bools", x.dtype)
    return make("bitwise_not", (x,), (), x._node.shape, x._node.dtype)
