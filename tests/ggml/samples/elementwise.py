"""Elementwise rows."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ggml.core.op import Op
from tests.ggml.arrays import LONG_SHAPE, TORCH_DTYPES, Draw, broadcastable, tensor
from tests.ggml.samples.common import DOMAINS, Call, any_dtype, any_number, any_tensor, sample


@sample
def unary(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row, specials=row.name not in DOMAINS)])


@sample
def unary_any(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row, specials=row.name not in ("int", "long"))])


@sample
def unary_special(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row, specials=True)])


@sample
def unary_integer(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row)])


@sample
def unary_loose(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row)])


def _pair(draw: Draw, row: Op, specials: bool = True, shape: Any = LONG_SHAPE, same: bool = False) -> tuple[Any, Any]:
    a = any_tensor(draw, row, shape, specials)
    other = str(a.dtype).removeprefix("torch.") if same else any_dtype(draw, row)
    b = tensor(draw, broadcastable(draw, tuple(a.shape)), other, specials=specials)
    return (b, a) if draw(st.booleans()) else (a, b)


@sample
def binary(draw: Draw, row: Op) -> Call:
    a, b = _pair(draw, row)
    return Call([a, b] if draw(st.booleans()) else [a, any_number(draw)])


@sample
def binary_tensors(draw: Draw, row: Op) -> Call:
    return Call(list(_pair(draw, row)))


@sample
def binary_floats(draw: Draw, row: Op) -> Call:
    # PyTorch has these for equal dtypes only where half precision meets float32.
    return Call(list(_pair(draw, row, specials=row.name != "isclose", same=True)))


@sample
def pair_any(draw: Draw, row: Op) -> Call:
    return Call(list(_pair(draw, row, specials=False)))


@sample
def division(draw: Draw, row: Op) -> Call:
    a, b = _pair(draw, row, specials=row.name == "div")
    number = draw(st.sampled_from([1, 2, -3, 0.5, -1.5]))
    call = Call([a, number]) if draw(st.booleans()) else Call([a, b])
    if row.name == "div":
        call.kwargs["rounding_mode"] = draw(st.sampled_from([None, None, "trunc", "floor"]))
    return call


@sample
def power(draw: Draw, row: Op) -> Call:
    a = tensor(draw, LONG_SHAPE, any_dtype(draw, row), 0.1, 4.0)
    exponent = draw(st.sampled_from([2, 0.5, -0.5, -1, 3, 0, 1, 2.5]))
    if draw(st.booleans()):
        return Call([a, exponent])
    return Call([a, tensor(draw, broadcastable(draw, tuple(a.shape)), any_dtype(draw, row), 0, 3)])


@sample
def bitwise(draw: Draw, row: Op) -> Call:
    a, b = _pair(draw, row, specials=False)
    if "shift" in row.name:
        b = b.abs()
    return Call([a, b])


@sample
def cast(draw: Draw, row: Op) -> Call:
    x = tensor(draw, LONG_SHAPE, any_dtype(draw, row), -4, 4, specials=False)
    return Call([x, TORCH_DTYPES[any_dtype(draw, row)]])


@sample
def where(draw: Draw, row: Op) -> Call:
    a, b = _pair(draw, row)
    condition = tensor(draw, broadcastable(draw, tuple(a.shape)), "bool")
    return Call([condition, a, any_number(draw) if draw(st.booleans()) else b])


@sample
def where_method(draw: Draw, row: Op) -> Call:
    condition, a, b = where(draw, row).args
    return Call([a, condition, b])


@sample
def masked_fill(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, specials=True)
    return Call([x, tensor(draw, broadcastable(draw, tuple(x.shape)), "bool"), draw(st.integers(-3, 3))])


@sample
def clamp(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, specials=True)
    low, high = draw(st.sampled_from([(-1, 1), (None, 2), (0.5, None), (2, 1), (-1.5, 0.5)]))
    return Call([x], {"min": low, "max": high})


@sample
def hardtanh(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row, specials=True), -0.5, 1.5])


@sample
def slope(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row, specials=True), draw(st.sampled_from([0.01, 0.5, 1.0]))])


@sample
def softplus(draw: Draw, row: Op) -> Call:
    return Call([tensor(draw, LONG_SHAPE, any_dtype(draw, row), -30, 30)], {"beta": draw(st.sampled_from([1.0, 2.0]))})


@sample
def gelu(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row)], {"approximate": draw(st.sampled_from(["none", "tanh"]))})


@sample
def prelu(draw: Draw, row: Op) -> Call:
    x = tensor(draw, st.lists(st.integers(1, 5), min_size=2, max_size=4).map(tuple))
    return Call([x, tensor(draw, (draw(st.sampled_from([1, x.shape[1]])),))])


@sample
def glu(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row, st.just((3, 4)))], {"dim": 1})


@sample
def dropout(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row)], {"p": 0.5, "training": False})
