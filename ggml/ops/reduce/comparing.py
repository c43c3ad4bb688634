"""Whether whole tensors agree, and whether elements are among others."""

from __future__ import annotations

from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import PLAIN
from ggml.core.errors import DTypeError
from ggml.ops.elementwise.binary import Operand
from ggml.ops.elementwise.comparison import isclose
from ggml.registry.arguments import convert, number, result_type, tensor
from ggml.registry.table import op
from ggml.tensors.tensor import Tensor, filled

# Comparisons that are held at a time, before the elements are sorted instead.
_MAX_PAIRS = 1 << 20


@op(runs="composed", sample="close", dtypes=PLAIN)
def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether ``isclose`` holds everywhere. Reads the result."""
    a, b = tensor("allclose", input), tensor("allclose", other, "other")
    if a.dtype is not b.dtype:
        raise DTypeError("allclose", "one dtype", f"{a.dtype} and {b.dtype}")
    if a.dtype is dtypes.bool_:
        a, b = convert(a, dtypes.int32), convert(b, dtypes.int32)
    return bool(isclose(a, b, rtol, atol, equal_nan).all().item())


@op(runs="composed", sample="equal", dtypes=PLAIN)
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether shapes and all elements are equal. Reads the result."""
    a, b = tensor("equal", input), tensor("equal", other, "other")
    if a._node.shape != b._node.shape:
        return False
    return bool(a.eq(b).all().item())


@op(runs="composed", sample="pair_any", dtypes=PLAIN, torch="is_same_size")
def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether the shapes are equal."""
    return tensor("is_same_size", input)._node.shape == tensor("is_same_size", other, "other")._node.shape


def _operand(value: Any, like: Tensor) -> Tensor:
    if isinstance(value, Tensor):
        return tensor("isin", value, "test_elements")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DTypeError("isin", "a tensor or a number", type(value).__name__)
    number("isin", value, "test_elements")
    return filled((), value, dtypes.int64 if isinstance(value, int) else dtypes.float32, like.device)


@op(runs="composed", sample="isin", dtypes=dtypes.NUMERIC, methods=())
def isin(elements: Operand, test_elements: Operand, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each element is among ``test_elements``; ``assume_unique`` has no effect."""
    like = elements if isinstance(elements, Tensor) else test_elements
    if not isinstance(like, Tensor):
        raise DTypeError("isin", "at least one tensor", "two numbers")
    a, b = _operand(elements, like), _operand(test_elements, like)
    if dtypes.bool_ in (a.dtype, b.dtype):
        raise DTypeError("isin", "numbers", dtypes.bool_)
    common = result_type(a, b)
    x, known = convert(a, common), convert(b, common).flatten()
    if not x.numel() or not known.numel():
        found = filled(tuple(x.shape), False, dtypes.bool_, x.device)
    elif x.numel() * known.numel() <= _MAX_PAIRS:
        found = x.unsqueeze(-1).eq(known).any(-1)
    else:
        found = _among(x.flatten(), known).reshape(*x.shape)
    return found.logical_not() if invert else found


def _among(x: Tensor, known: Tensor) -> Tensor:
    """The same by order: stable sorting puts the elements of ``known`` before equal ones of ``x``."""
    from ggml.ops.shape.concatenation import cat

    both = cat([known, x], 0)
    order = both.argsort(0)
    sorted_ = both.gather(0, order)
    is_known = order.lt(known.shape[0])
    # For each place the last known element at or before it.
    places = convert(is_known, dtypes.int64) * _count(order)
    nearest = sorted_.gather(0, places.cummax(0).values)
    is_found = nearest.eq(sorted_).logical_and(convert(is_known, dtypes.int64).cumsum(0).gt(0))
    back = order.argsort(0)
    return is_found.gather(0, back).narrow(0, known.shape[0], x.shape[0])


def _count(like: Tensor) -> Tensor:
    return convert(like * 0 + 1, dtypes.int64).cumsum(0) - 1
