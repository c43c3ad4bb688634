"""Element by element: arithmetic, comparisons, choices and conversions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import ALL
from ggml.onnx.call import Call
from ggml.onnx.element_types import here
from ggml.onnx.step import Step
from ggml.onnx.table import from_onnx, to_onnx
from ggml.onnx.writer import Writer
from ggml.ops.elementwise import arithmetic, bitwise, comparison, pointwise, selection
from ggml.registry.arguments import convert
from ggml.registry.table import TABLE
from ggml.tensors.tensor import Tensor

#: Rows and operations of one operand that mean the same, in both directions.
_SAME = {
    "abs": "Abs", "acos": "Acos", "acosh": "Acosh", "asin": "Asin", "asinh": "Asinh", "atan": "Atan",
    "atanh": "Atanh", "ceil": "Ceil", "cos": "Cos", "cosh": "Cosh", "erf": "Erf", "exp": "Exp", "floor": "Floor",
    "isnan": "IsNaN", "log": "Log", "neg": "Neg", "reciprocal": "Reciprocal", "relu": "Relu", "round": "Round",
    "sigmoid": "Sigmoid", "sign": "Sign", "sin": "Sin", "sinh": "Sinh", "sqrt": "Sqrt", "tan": "Tan", "tanh": "Tanh",
}  # fmt: skip


def _written(op: str) -> Callable[[Writer, Step], str]:
    return lambda w, step: w.emit(op, step.inputs[0])


def _run(row: str) -> Callable[[Call], Any]:
    return lambda call: TABLE[row].function(call.tensor(0))


for _row, _op in _SAME.items():
    to_onnx(_row)(_written(_op))
    from_onnx(_op)(_run(_row))


@to_onnx("expm1", "log1p", "log2", "log10", "exp2", "rsqrt", "erfc", "trunc", "isfinite", "frac", "isinf")
def _by_others(w: Writer, step: Step) -> str:
    """Functions that ONNX has no operation for."""
    x = step.inputs[0]

    def number(value: float) -> str:
        return w.scalar(value, step.dtypes[0])

    forms: dict[str, Callable[[], str]] = {
        "expm1": lambda: w.emit("Sub", w.emit("Exp", x), number(1)),
        "log1p": lambda: w.emit("Log", w.emit("Add", x, number(1))),
        "log2": lambda: w.emit("Div", w.emit("Log", x), w.emit("Log", number(2))),
        "log10": lambda: w.emit("Div", w.emit("Log", x), w.emit("Log", number(10))),
        "exp2": lambda: w.emit("Pow", number(2), x),
        "rsqrt": lambda: w.emit("Reciprocal", w.emit("Sqrt", x)),
        "erfc": lambda: w.emit("Sub", number(1), w.emit("Erf", x)),
        "trunc": lambda: w.emit("Mul", w.emit("Sign", x), w.emit("Floor", w.emit("Abs", x))),
        "frac": lambda: w.emit("Sub", x, w.emit("Mul", w.emit("Sign", x), w.emit("Floor", w.emit("Abs", x)))),
        "isinf": lambda: w.emit("IsInf", x),
        "isfinite": lambda: w.emit("Not", w.emit("Or", w.emit("IsInf", x), w.emit("IsNaN", x))),
    }
    return forms[step.row]()


_ARITHMETIC = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "pow": "Pow", "maximum": "Max",
               "minimum": "Min", "trunc_divide": "Div"}  # fmt: skip
_ON_BOOLS = {"add": "Or", "mul": "And", "maximum": "Or", "minimum": "And", "eq": "Equal", "ne": "Xor"}
_COMPARISONS = {"eq": "Equal", "ne": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater",
                "ge": "GreaterOrEqual"}  # fmt: skip


def _pair(w: Writer, step: Step) -> tuple[str, str]:
    """Both operands in the dtype that the row computes in, the number among them as a constant."""
    position, (number, _), common = step.params
    dtype = ALL[common]
    given = [name if own is dtype else w.cast(name, dtype) for name, own in zip(step.inputs, step.dtypes, strict=True)]
    if position == 0:
        return given[0], given[1]
    constant = w.scalar(number, dtype)
    return (given[0], constant) if position == 1 else (constant, given[0])


@to_onnx(*_ARITHMETIC)
def _arithmetic(w: Writer, step: Step) -> str:
    left, right = _pair(w, step)
    is_bool = step.params[2] == "bool"
    if step.row == "trunc_divide" and ALL[step.params[2]].is_floating_point:
        quotient = w.emit("Div", left, right)
        return w.emit("Mul", w.emit("Sign", quotient), w.emit("Floor", w.emit("Abs", quotient)))
    return w.emit((_ON_BOOLS if is_bool else _ARITHMETIC)[step.row], left, right)


@to_onnx(*_COMPARISONS)
def _compared(w: Writer, step: Step) -> str:
    left, right = _pair(w, step)
    if step.params[2] == "bool":
        if step.row in _ON_BOOLS:
            return w.emit(_ON_BOOLS[step.row], left, right)
        left, right = w.cast(left, dtypes.int32), w.cast(right, dtypes.int32)
    found = w.emit(_COMPARISONS[step.row], left, right)
    return w.emit("Not", found) if step.row == "ne" else found


@to_onnx("floor_divide", "remainder", "fmod")
def _divided(w: Writer, step: Step) -> str:
    left, right = _pair(w, step)
    is_float = ALL[step.params[2]].is_floating_point
    if step.row == "fmod":
        return w.emit("Mod", left, right, fmod=1)
    if step.row == "remainder" and not is_float:
        return w.emit("Mod", left, right)
    if is_float:
        floor = w.emit("Floor", w.emit("Div", left, right))
        return floor if step.row == "floor_divide" else w.emit("Sub", left, w.emit("Mul", floor, right))
    return w.emit("Div", w.emit("Sub", left, w.emit("Mod", left, right)), right)


@to_onnx("logical_and", "logical_or", "logical_xor", "logical_not")
def _logic(w: Writer, step: Step) -> str:
    op = {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor", "logical_not": "Not"}[step.row]
    given = zip(step.inputs, step.dtypes, strict=True)
    return w.emit(op, *[name if own is dtypes.bool_ else w.cast(name, dtypes.bool_) for name, own in given])


@to_onnx("bitwise_and", "bitwise_or", "bitwise_xor")
def _bits(w: Writer, step: Step) -> str:
    left, right = _pair(w, step)
    op = {"bitwise_and": "And", "bitwise_or": "Or", "bitwise_xor": "Xor"}[step.row]
    return w.emit(op if step.params[2] == "bool" else f"Bitwise{op}", left, right)


@to_onnx("bitwise_not")
def _bits_inverted(w: Writer, step: Step) -> str:
    return w.emit("Not" if step.dtype is dtypes.bool_ else "BitwiseNot", step.inputs[0])


@to_onnx("where")
def _where(w: Writer, step: Step) -> str:
    return w.emit("Where", *step.inputs)


@to_onnx("clamp")
def _clamp(w: Writer, step: Step) -> str:
    low, high = step.params[:2]
    return w.emit("Clip", step.inputs[0], w.scalar(low, step.dtype), w.scalar(high, step.dtype))


@to_onnx("to")
def _to(w: Writer, step: Step) -> str:
    return w.cast(step.inputs[0], step.dtype)


@to_onnx("copied")
def _copied(w: Writer, step: Step) -> str:
    return w.emit("Identity", step.inputs[0])


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Call], Tensor]:
    return lambda call: function(call.tensor(0), call.tensor(1))


for _op, _function in {
    "Add": arithmetic.add, "Sub": arithmetic.sub, "Mul": arithmetic.mul, "Equal": comparison.eq,
    "Less": comparison.lt, "LessOrEqual": comparison.le, "Greater": comparison.gt,
    "GreaterOrEqual": comparison.ge, "And": comparison.logical_and, "Or": comparison.logical_or,
    "Xor": comparison.logical_xor, "BitwiseAnd": bitwise.bitwise_and, "BitwiseOr": bitwise.bitwise_or,
    "BitwiseXor": bitwise.bitwise_xor,
}.items():  # fmt: skip
    from_onnx(_op)(_binary(_function))


@from_onnx("Div")
def _div(call: Call) -> Tensor:
    a, b = call.tensor(0), call.tensor(1)
    return a / b if a.is_floating_point() else arithmetic.trunc_divide(a, b)


@from_onnx("Mod")
def _mod(call: Call) -> Tensor:
    a, b = call.tensor(0), call.tensor(1)
    return arithmetic.fmod(a, b) if call.attribute("fmod", 0) else arithmetic.remainder(a, b)


@from_onnx("Pow")
def _pow(call: Call) -> Tensor:
    base, exponent = call.tensor(0), call.operand(1)
    if not isinstance(exponent, Tensor) and exponent.size == 1 and base.is_floating_point():
        # Squares and roots have operations of their own, which a tensor of one element would not show.
        power = base.pow(float(exponent.reshape(-1)[0]))
        return power if exponent.ndim <= base.ndim else power.reshape((1,) * (exponent.ndim - base.ndim) + base.shape)
    return convert(arithmetic.pow(base, call.tensor(1)), base.dtype)


def _folded(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Call], Tensor]:
    def run(call: Call) -> Tensor:
        total = call.tensor(0)
        for place in range(1, len(call.inputs)):
            total = function(total, call.tensor(place))
        return total

    return run


from_onnx("Max")(_folded(arithmetic.maximum))
from_onnx("Min")(_folded(arithmetic.minimum))
from_onnx("Sum")(_folded(arithmetic.add))


@from_onnx("Mean")
def _mean_of_several(call: Call) -> Tensor:
    return _folded(arithmetic.add)(call) / float(len(call.inputs))


@from_onnx("Not")
def _not(call: Call) -> Tensor:
    return pointwise.logical_not(call.tensor(0))


@from_onnx("BitwiseNot")
def _bitwise_not(call: Call) -> Tensor:
    return pointwise.bitwise_not(call.tensor(0))


@from_onnx("IsInf")
def _is_inf(call: Call) -> Tensor:
    x = call.tensor(0)
    positive, negative = call.attribute("detect_positive", 1), call.attribute("detect_negative", 1)
    found = pointwise.isinf(x)
    if not positive:
        found = found.logical_and(x.lt(0))
    return found if negative else found.logical_and(x.gt(0))


@from_onnx("Where")
def _where_here(call: Call) -> Tensor:
    return selection.where(call.tensor(0), call.tensor(1), call.tensor(2))


@from_onnx("Clip")
def _clip(call: Call) -> Tensor:
    x = call.tensor(0)
    if call.opset < 11:
        low, high = call.attribute("min"), call.attribute("max")
    else:
        low, high = (call.number(place) if call.has(place) else None for place in (1, 2))
    return x if low is None and high is None else x.clamp(low, high)


@from_onnx("Cast")
def _cast(call: Call) -> Tensor:
    return call.tensor(0).to(here(call.attribute("to"), call.where))


@from_onnx("CastLike")
def _cast_like(call: Call) -> Tensor:
    return call.tensor(0).to(call.tensor(1).dtype)


@from_onnx("Identity")
def _identity(call: Call) -> Any:
    return call.operand(0)


@from_onnx("Dropout")
def _dropout(call: Call) -> Any:
    if call.has(2) and call.number(2):
        raise call.refuse("dropout in training mode; export the model in evaluation mode")
    if call.num_outputs > 1:
        return call.operand(0), call.tensor(0).new_full(call.tensor(0).shape, True, dtype=dtypes.bool_)
    return call.operand(0)
