"""Complex numbers as pairs of floats: what makes them, takes them apart, and calculates with them.

Tensors are marked (``ggml.tensors.pairs``) where PyTorch's are complex. A real operand counts as one without imaginary
part.
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import PLAIN
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.ops.elementwise import arithmetic, selection
from ggml.ops.shape.cutting import narrow
from ggml.ops.shape.views import squeeze
from ggml.ops.signal.complex_parts import joined
from ggml.ops.signal.transforms import PAIRS, conjugated
from ggml.registry.arguments import broadcast, number, strictly_floating, tensor
from ggml.registry.table import in_place, op
from ggml.tensors.pairs import Pairs, marked, plain
from ggml.tensors.tensor import Tensor, filled

Operand = Tensor | float | builtins.complex


def _parts(x: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of pairs, [...]."""
    pairs = plain(x)
    return squeeze(narrow(pairs, -1, 0, 1), -1), squeeze(narrow(pairs, -1, 1, 1), -1)


@op(runs="composed", sample="pairs", dtypes=(dtypes.float32, dtypes.float16), methods=(), differs=PAIRS)
def view_as_complex(input: Tensor) -> Tensor:
    """Pairs of floats [..., 2] marked as a complex tensor; its shape goes on counting the last axis."""
    x = strictly_floating("view_as_complex", input)
    if x.dtype is dtypes.bfloat16:
        raise DTypeError("view_as_complex", "float32 or float16", x.dtype)
    if not x.ndim or x.shape[-1] != 2:
        raise ShapeMismatchError("view_as_complex", "a last axis of 2", tuple(x.shape))
    return marked(x)


@op(runs="composed", sample="complex_only", dtypes=(dtypes.float32,), methods=())
def view_as_real(input: Tensor) -> Tensor:
    """The pairs of a complex tensor, [..., 2]."""
    return plain(_complex("view_as_real", input))


def _complex(name: str, value: Any) -> Tensor:
    if type(value) is not Pairs:
        raise DTypeError(name, "a complex tensor (view_as_complex marks pairs)", getattr(value, "dtype", type(value)))
    return value


@op(runs="composed", sample="complex_or_real", dtypes=PLAIN, methods=())
def real(input: Tensor) -> Tensor:
    """The real part; a real tensor itself."""
    return _parts(input)[0] if type(input) is Pairs else tensor("real", input)


@op(runs="composed", sample="complex_only", dtypes=(dtypes.float32,), methods=())
def imag(input: Tensor) -> Tensor:
    """The imaginary part of a complex tensor."""
    return _parts(_complex("imag", input))[1]


@op(runs="composed", sample="complex_or_real", dtypes=PLAIN)
def angle(input: Tensor) -> Tensor:
    """The angle in radians: 0 or pi of real numbers."""
    if type(input) is Pairs:
        a, b = _parts(input)
        return b.atan2(a)
    x = tensor("angle", input)
    wide = x if x.is_floating_point() else x.to(dtypes.float32)
    turned = selection.where(wide.lt(0), 3.141592653589793, 0.0).to(wide.dtype)
    return selection.where(wide.isnan(), wide, turned)


@op(runs="composed", sample="complex_or_real", dtypes=PLAIN)
def conj(input: Tensor) -> Tensor:
    """The conjugate, with the opposite imaginary part; a real tensor itself."""
    if type(input) is not Pairs:
        return tensor("conj", input)
    return marked(conjugated(plain(input)))


def _same(name: str, change: Callable[[Tensor], Tensor], text: str) -> Callable[..., Tensor]:
    def function(input: Tensor) -> Tensor:
        return change(input) if type(input) is Pairs else tensor(name, input)

    function.__name__, function.__doc__ = name, text
    inplace = name == "conj_physical"
    return op(runs="composed", sample="complex_or_real", dtypes=PLAIN, inplace=inplace)(function)


conj_physical = _same("conj_physical", conj, "As ``conj``: conjugates are never put off.")
resolve_conj = _same("resolve_conj", lambda x: x, "The tensor itself: conjugates are never put off.")
resolve_neg = _same("resolve_neg", lambda x: x, "The tensor itself: signs are never put off.")


def _as_parts(name: str, value: Any, like: Tensor | None, argument: str = "other") -> tuple[Any, Any]:
    """Real and imaginary part of an operand: a marked tensor, a real one, or a number."""
    if type(value) is Pairs:
        return _parts(value)
    if isinstance(value, builtins.complex):
        return value.real, value.imag
    return (tensor(name, value, argument) if isinstance(value, Tensor) else number(name, value, argument)), None


def _plus(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else a + b


def _minus(a: Any, b: Any) -> Any:
    return a if b is None else -b if a is None else a - b


def _times(a: Any, b: Any) -> Any:
    return None if a is None or b is None else a * b


def _paired(real_part: Any, imaginary: Any) -> Tensor:
    if imaginary is None:
        imaginary = real_part * 0
    if not isinstance(imaginary, Tensor):
        imaginary = filled((), float(imaginary), real_part.dtype, real_part.device)
    if not isinstance(real_part, Tensor):
        real_part = filled((), float(real_part), imaginary.dtype, imaginary.device)
    return marked(joined("complex", real_part, imaginary.to(real_part.dtype)))


def _binary(name: str, combine: Callable[[Any, Any, Any, Any], tuple[Any, Any]]) -> Callable[..., Tensor]:
    def function(input: Operand, other: Operand) -> Tensor:
        return _paired(*combine(*_as_parts(name, input, None, "input"), *_as_parts(name, other, None)))

    return function


_added = _binary("add", lambda a, b, c, d: (_plus(a, c), _plus(b, d)))
_subtracted = _binary("sub", lambda a, b, c, d: (_minus(a, c), _minus(b, d)))
_multiplied = _binary("mul", lambda a, b, c, d: (_minus(_times(a, c), _times(b, d)), _plus(_times(a, d), _times(b, c))))


def add(input: Operand, other: Operand, *, alpha: float = 1) -> Tensor:
    return _added(input, other if alpha == 1 else mul(other, alpha))


def sub(input: Operand, other: Operand, *, alpha: float = 1) -> Tensor:
    return _subtracted(input, other if alpha == 1 else mul(other, alpha))


def mul(input: Operand, other: Operand) -> Tensor:
    both_real = not any(type(one) is Pairs or isinstance(one, builtins.complex) for one in (input, other))
    return arithmetic.mul(input, other) if both_real else _multiplied(input, other)  # type: ignore[arg-type]


def reciprocal(input: Operand) -> Tensor:
    """``conj / |input|^2``, scaled by the larger part so that squares neither overflow nor vanish."""
    a, b = _as_parts("reciprocal", input, None)
    size = selection.where(a.abs().gt(b.abs()), a.abs(), b.abs())
    size = selection.where(size.gt(0), size, 1.0)
    u, v = a / size, b / size
    length = (u * u + v * v) * size
    return _paired(u / length, -v / length)


def div(input: Operand, other: Operand, *, rounding_mode: str | None = None) -> Tensor:
    if rounding_mode is not None:
        raise ArgumentError("div", "rounding_mode", "must be None for complex tensors")
    if type(other) is Pairs:
        return mul(input, reciprocal(other))
    if isinstance(other, builtins.complex):
        return mul(input, 1 / other)
    a, b = _as_parts("div", input, None, "input")
    return _paired(a / other, b / other)


def neg(input: Tensor) -> Tensor:
    return marked(plain(input).neg())


def positive(input: Tensor) -> Tensor:
    return input


def abs(input: Tensor) -> Tensor:
    """The lengths of complex numbers, real."""
    a, b = _parts(input)
    return arithmetic.hypot(a, b)


def square(input: Tensor) -> Tensor:
    return mul(input, input)


#: The functions that compute a marked tensor otherwise than a real one, by name.
WAYS: dict[str, Callable[..., Tensor]] = {
    "add": add, "sub": sub, "mul": mul, "div": div, "neg": neg, "abs": abs, "square": square, "positive": positive,
    "reciprocal": reciprocal, "subtract": sub, "multiply": mul, "divide": div, "true_divide": div, "negative": neg,
    "absolute": abs,
}  # fmt: skip


@op(runs="composed", sample="complex_product", dtypes=(dtypes.float32,), torch="complex_mul", methods=())
def complex_mul(input: Tensor, other: Tensor) -> Tensor:
    """The product of complex tensors: marked ones, or plain pairs [..., 2]. They broadcast over the other axes."""
    parts = [
        x if type(x) is Pairs else view_as_complex(strictly_floating("complex_mul", x, name))
        for x, name in ((input, "input"), (other, "other"))
    ]
    broadcast("complex_mul", *(part._node.shape for part in parts))
    return mul(*parts)


def _reflected(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda self, other: function(other, self)


def either(function: Callable[..., Tensor], way: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A function of real tensors that goes another way where an operand is complex."""

    @functools.wraps(function)
    def chosen(*args: Any, **kwargs: Any) -> Tensor:
        is_complex = Pairs in map(type, args) or (kwargs and Pairs in map(type, kwargs.values()))
        return way(*args, **kwargs) if is_complex else function(*args, **kwargs)

    return chosen


def _enter() -> None:
    """Methods and operators of marked tensors."""
    for name, way in WAYS.items():
        setattr(Pairs, name, way)
        if name not in ("abs", "absolute", "positive"):
            setattr(Pairs, f"{name}_", in_place(way, name))
    for word, way in (("add", add), ("sub", sub), ("mul", mul), ("truediv", div)):
        setattr(Pairs, f"__{word}__", way)
        setattr(Pairs, f"__r{word}__", _reflected(way))
        setattr(Pairs, f"__i{word}__", in_place(way, word))
    for word, one in (("neg", neg), ("abs", abs), ("pos", positive)):
        setattr(Pairs, f"__{word}__", one)


def _cast(name: str) -> Callable[..., Tensor]:
    """The dtype of a complex tensor is that of its parts."""
    return lambda self, *args, **kwargs: marked(getattr(plain(self), name)(*args, **kwargs))


_enter()
for _name in ("to", "float", "half", "bfloat16"):
    setattr(Pairs, _name, _cast(_name))
for _name, _part in (("real", real), ("imag", imag)):
    setattr(Tensor, _name, property(_part, doc=_part.__doc__))
