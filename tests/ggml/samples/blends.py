"""Elementwise rows that are composed of others."""

from __future__ import annotations

from hypothesis import strategies as st

from ggml.core.op import Op
from tests.ggml.arrays import LONG_SHAPE, Draw, broadcastable, tensor
from tests.ggml.samples.common import Call, any_dtype, any_number, any_tensor, sample


@sample
def lerp(draw: Draw, row: Op) -> Call:
    dtype = any_dtype(draw, row)
    a = tensor(draw, LONG_SHAPE, dtype)
    b = tensor(draw, broadcastable(draw, tuple(a.shape)), dtype)
    if draw(st.booleans()):
        return Call([a, b, draw(st.sampled_from([0.25, 0.5, 0.75, 1.0, 2.0]))])
    return Call([a, b, tensor(draw, broadcastable(draw, tuple(a.shape)), dtype, 0, 1)])


@sample
def addcmul(draw: Draw, row: Op) -> Call:
    dtype = any_dtype(draw, row)
    a = tensor(draw, LONG_SHAPE, dtype, -3, 3)
    rest = [tensor(draw, broadcastable(draw, tuple(a.shape)), dtype, -3, 3) for _ in range(2)]
    return Call([a, *rest], {"value": draw(st.sampled_from([1, 2, -3]))})


@sample
def addcdiv(draw: Draw, row: Op) -> Call:
    dtype = any_dtype(draw, row)
    a = tensor(draw, LONG_SHAPE, dtype, -3, 3)
    rest = [tensor(draw, broadcastable(draw, tuple(a.shape)), dtype, low, 3) for low in (-3, 0.5)]
    return Call([a, *rest], {"value": draw(st.sampled_from([1, 0.5, -3]))})


@sample
def log_sum(draw: Draw, row: Op) -> Call:
    dtype = any_dtype(draw, row)
    a = tensor(draw, LONG_SHAPE, dtype, specials=True)
    return Call([a, tensor(draw, broadcastable(draw, tuple(a.shape)), dtype, specials=True)])


@sample
def xlogy(draw: Draw, row: Op) -> Call:
    a = tensor(draw, LONG_SHAPE, any_dtype(draw, row), specials=True)
    if draw(st.booleans()):
        return Call([a, draw(st.sampled_from([2, 0.5, 1.0]))])
    return Call([a, tensor(draw, broadcastable(draw, tuple(a.shape)), any_dtype(draw, row), 0, 3, True)])


@sample
def heaviside(draw: Draw, row: Op) -> Call:
    dtype = any_dtype(draw, row)
    a = tensor(draw, LONG_SHAPE, dtype)
    return Call([a, tensor(draw, broadcastable(draw, tuple(a.shape)), dtype)])


@sample
def ldexp(draw: Draw, row: Op) -> Call:
    a = any_tensor(draw, row)
    return Call([a, tensor(draw, broadcastable(draw, tuple(a.shape)), "int64", -4, 4)])


@sample
def gcd(draw: Draw, row: Op) -> Call:
    dtype = any_dtype(draw, row)
    a = tensor(draw, LONG_SHAPE, dtype, -30, 30)
    return Call([a, tensor(draw, broadcastable(draw, tuple(a.shape)), dtype, -30, 30)])


@sample
def unary_any_number(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row)])


@sample
def logit(draw: Draw, row: Op) -> Call:
    dtype = any_dtype(draw, row)
    return Call([tensor(draw, LONG_SHAPE, dtype, 0, 1), draw(st.sampled_from([None, 0.125]))])


@sample
def clamp_one(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, specials=True)
    if draw(st.booleans()):
        return Call([x, any_number(draw)])
    return Call([x, tensor(draw, broadcastable(draw, tuple(x.shape)), str(x.dtype).removeprefix("torch."))])


@sample
def close(draw: Draw, row: Op) -> Call:
    a = any_tensor(draw, row)
    b = a.clone() if draw(st.booleans()) else tensor(draw, tuple(a.shape), str(a.dtype).removeprefix("torch."))
    return Call([a, b])


@sample
def equal(draw: Draw, row: Op) -> Call:
    return close(draw, row)


@sample
def isin(draw: Draw, row: Op) -> Call:
    dtype = any_dtype(draw, row)
    a = tensor(draw, LONG_SHAPE, dtype)
    kwargs = {"invert": draw(st.booleans())}
    if draw(st.booleans()):
        return Call([a, draw(st.integers(-3, 3))], kwargs)
    return Call([a, tensor(draw, st.lists(st.integers(0, 4), max_size=2).map(tuple), dtype)], kwargs)


@sample
def logspace(draw: Draw, row: Op) -> Call:
    bound = st.sampled_from([0, 1, -1.5, 2.0])
    return Call([draw(bound), draw(bound), draw(st.integers(0, 9))], {"base": draw(st.sampled_from([10.0, 2.0]))})
