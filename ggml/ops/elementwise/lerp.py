"""Elementwise functions of two or three tensors, composed of the arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import FLOATING, NUMERIC, PLAIN, Category
from ggml.core.errors import DTypeError
from ggml.ops.elementwise.binary import Operand, binary
from ggml.ops.elementwise.binary import by_kernel as lower_pair
from ggml.ops.elementwise.pointwise import log, log1p
from ggml.ops.elementwise.selection import where
from ggml.registry.arguments import Number, convert, number, result_type, tensor
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor, filled


def _need_floats(name: str, *values: Tensor) -> dtypes.DType:
    """The one dtype of floating tensors that PyTorch does not convert here."""
    dtype = values[0].dtype
    if not dtype.is_floating_point or any(value.dtype is not dtype for value in values):
        raise DTypeError(name, "floats of one dtype", " and ".join(str(value.dtype) for value in values))
    return dtype


@op(runs="composed", sample="lerp", inplace=True)
def lerp(input: Tensor, end: Tensor, weight: Operand) -> Tensor:
    """``input + weight * (end - input)``, computed from the nearer end."""
    a, b = tensor("lerp", input), tensor("lerp", end, "end")
    start, stop = (convert(value, dtypes.float32) for value in (a, b))
    if not isinstance(weight, Tensor):
        dtype, share = _need_floats("lerp", a, b), float(number("lerp", weight, "weight"))
        gap = stop - start
        return convert(start + gap * share if abs_of(share) < 0.5 else stop - gap * (1 - share), dtype)
    dtype = _need_floats("lerp", a, b, weight)
    shares, gap = convert(weight, dtypes.float32), stop - start
    return convert(where(shares.abs().lt(0.5), start + shares * gap, stop - gap * (1 - shares)), dtype)


def abs_of(value: float) -> float:
    """The absolute value of a number; the module's neighbours call their rows ``abs``."""
    return -value if value < 0 else value


def _factor(name: str, value: Number, dtype: dtypes.DType) -> Number:
    factor = number(name, value, "value")
    if isinstance(factor, float) and not dtype.is_floating_point:
        raise DTypeError(name, f"an integral value for {dtype}", factor)
    return factor


@op(runs="composed", sample="addcmul", dtypes=NUMERIC, inplace=True)
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1) -> Tensor:
    """``input + value * tensor1 * tensor2``."""
    a, b, c = (tensor("addcmul", one) for one in (input, tensor1, tensor2))
    dtype = result_type(a, b, c)
    if dtype is dtypes.bool_:
        raise DTypeError("addcmul", "numbers", dtype)
    factor = _factor("addcmul", value, dtype)
    one, other, added = (convert(part, _exact(dtype)) for part in (b, c, a))
    return convert(added + one * other * factor, dtype)


def _exact(dtype: dtypes.DType) -> dtypes.DType:
    """What several steps are computed in, to be rounded once."""
    return dtypes.float32 if dtype.is_floating_point else dtype


@op(runs="composed", sample="addcdiv", dtypes=FLOATING, inplace=True)
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1) -> Tensor:
    """``input + value * tensor1 / tensor2``."""
    a, b, c = (tensor("addcdiv", one) for one in (input, tensor1, tensor2))
    if not b.is_floating_point() and not c.is_floating_point():
        raise DTypeError("addcdiv", "a floating tensor1 or tensor2", b.dtype)
    dtype = result_type(a, b, c)
    factor = float(number("addcdiv", value, "value"))
    one, other, added = (convert(part, dtypes.float32) for part in (b, c, a))
    return convert(added + one * factor / other, dtype)


def _log_sum(name: str, text: str, base: float) -> Callable[[Tensor, Tensor], Tensor]:
    def function(input: Tensor, other: Tensor) -> Tensor:
        a, b = tensor(name, input), tensor(name, other, "other")
        dtype = result_type(a, b)
        if not dtype.is_floating_point:
            raise DTypeError(name, "floats", dtype)
        one, two = (convert(value, dtypes.float32) for value in (a, b))
        top, gap = one.maximum(two), (one - two).abs().neg()
        # Equal infinities have no difference, and their larger one is the answer.
        more = (gap.exp() if base == math.e else gap.exp2()).log1p() * (1 / math.log(base))
        return convert(where(one.eq(two).logical_and(one.abs().eq(math.inf)), top, top + more), dtype)

    function.__name__, function.__doc__ = name, text
    return op(runs="composed", sample="log_sum")(function)


logaddexp = _log_sum("logaddexp", "``log(exp(input) + exp(other))`` without overflow.", math.e)
logaddexp2 = _log_sum("logaddexp2", "``log2(2 ** input + 2 ** other)`` without overflow.", 2.0)


def _pair(name: str, input: Operand, other: Operand) -> tuple[Operand, Operand]:
    """Two operands of which at least one is a tensor."""
    a, b = (tensor(name, one) if isinstance(one, Tensor) else number(name, one, "operand") for one in (input, other))
    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        raise DTypeError(name, "at least one tensor", "two numbers")
    return a, b


def _as_floats(value: Operand, like: Tensor) -> Tensor:
    return (
        convert(value, dtypes.float32) if isinstance(value, Tensor) else filled((), value, dtypes.float32, like.device)
    )


def _times_logarithm(name: str, logarithm: Callable[[Tensor], Tensor], input: Operand, other: Operand) -> Tensor:
    a, b = _pair(name, input, other)
    dtype = result_type(a, b)
    like = a if isinstance(a, Tensor) else b
    assert isinstance(like, Tensor)
    x, y = _as_floats(a, like), _as_floats(b, like)
    # Only where the product would not be 0 by itself: elsewhere its derivative counts, also at 0.
    logarithms = logarithm(y)
    result = where(x.eq(0).logical_and(logarithms.abs().eq(math.inf).logical_or(y.lt(0))), 0.0, x * logarithms)
    return convert(result, dtype if dtype.is_floating_point else dtypes.float32)


@op(runs="composed", sample="xlogy", dtypes=PLAIN, inplace=True)
def xlogy(input: Operand, other: Operand) -> Tensor:
    """``input * log(other)``: 0 where the input is 0, NaN where the other is."""
    return _times_logarithm("xlogy", log, input, other)


@op(runs="composed", sample="xlogy", dtypes=PLAIN, torch="special.xlog1py", methods=())
def xlog1py(input: Operand, other: Operand) -> Tensor:
    """``input * log1p(other)``: 0 where the input is 0, NaN where the other is."""
    return _times_logarithm("xlog1py", log1p, input, other)


@op(runs="composed", sample="heaviside", dtypes=PLAIN, inplace=True)
def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 below 0, 1 above it, and ``values`` at 0."""
    x, at_zero = tensor("heaviside", input), tensor("heaviside", values, "values")
    if x.dtype is not at_zero.dtype:
        raise DTypeError("heaviside", "one dtype", f"{x.dtype} and {at_zero.dtype}")
    return where(x.eq(0), at_zero, convert(x.gt(0), x.dtype))


@op(runs="composed", sample="ldexp", dtypes=PLAIN, inplace=True)
def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """``input * 2 ** other``."""
    x, power = tensor("ldexp", input), tensor("ldexp", other, "other")
    dtype = result_type(x, power)
    result = convert(x, dtypes.float32) * convert(power, dtypes.float32).exp2()
    return convert(result, dtype if dtype.is_floating_point else dtypes.float32)


def _ignoring_nan(name: str, text: str) -> Callable[[Tensor, Tensor], Tensor]:
    def function(input: Tensor, other: Tensor) -> Tensor:
        a, b = tensor(name, input), tensor(name, other, "other")
        best = a.maximum(b) if name == "fmax" else a.minimum(b)
        if not best.is_floating_point():
            return best
        return where(a.isnan(), convert(b, best.dtype), where(b.isnan(), convert(a, best.dtype), best))

    function.__name__, function.__doc__ = name, text
    return op(runs="composed", sample="binary_tensors", dtypes=PLAIN)(function)


fmax = _ignoring_nan("fmax", "The larger of two elements; a number wins over a NaN.")
fmin = _ignoring_nan("fmin", "The smaller of two elements; a number wins over a NaN.")


def _integers(name: str, value: Any) -> Tensor:
    checked = tensor(name, value)
    if checked.dtype.category is not Category.INTEGER:
        raise DTypeError(name, "integers", checked.dtype)
    return checked


@op(runs="kernel", sample="gcd", lower=lower_pair("gcd"), dtypes=dtypes.INTEGER, inplace=True)
def gcd(input: Tensor, other: Tensor) -> Tensor:
    """The greatest common divisor, not negative."""
    return binary("gcd", _integers("gcd", input), _integers("gcd", other))


@op(runs="composed", sample="gcd", dtypes=dtypes.INTEGER, inplace=True)
def lcm(input: Tensor, other: Tensor) -> Tensor:
    """The least common multiple, not negative; 0 where an element is 0."""
    a, b = (_integers("lcm", one) for one in (input, other))
    common = a.gcd(b)
    return (a.floor_divide(where(common.eq(0), 1, common)) * b).abs()
