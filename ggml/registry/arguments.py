"""Checks that the rows share: each returns what the row works with, or raises an error that names the row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from ggml.core import dtypes
from ggml.core.devices import CPU
from ggml.core.dtypes import Category, DType, promote_types
from ggml.core.errors import ArgumentError, DTypeError, OutOfMemoryError, RankError, ShapeMismatchError
from ggml.core.node import MAX_RANK, Shape
from ggml.registry.table import make
from ggml.tensors.pairs import Pairs, refuse
from ggml.tensors.tensor import Tensor, filled
from ggml.tensors.transfer import axis

Number = int | float | bool

_NUMBERS = (bool, int, float)
_LARGEST = {"float16": 65504.0, "bfloat16": 3.3895313892515355e38, "float32": 3.4028234663852886e38}
SCALAR_DTYPES = {bool: dtypes.bool_, int: dtypes.int64, float: dtypes.float32}


def tensor(op: str, value: Any, argument: str = "input") -> Tensor:
    """``value`` if it is a tensor of elements that can be computed with."""
    if not isinstance(value, Tensor):
        raise DTypeError(op, f"a tensor as {argument}", type(value).__name__)
    if isinstance(value, Pairs):
        refuse(op)
    if value._node.dtype.category is Category.QUANTIZED:
        raise DTypeError(op, f"an {argument} that is not quantised (dequantise it with .float())", value.dtype)
    return value


def number(op: str, value: Any, argument: str) -> Number:
    """A Python number; a tensor of one element is read."""
    if isinstance(value, _NUMBERS):
        if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
            raise ArgumentError(op, argument, "does not fit into 64 bits")
        if type(value) in _NUMBERS:
            return value
        return int(value) if isinstance(value, int) else float(value)  # an enumeration, or numpy's float64
    if isinstance(value, Tensor) and value._node.numel == 1:
        return number(op, value.item(), argument)
    if hasattr(value, "dtype") and getattr(value, "shape", None) == () and hasattr(value, "item"):
        return number(op, value.item(), argument)
    raise DTypeError(op, f"a number as {argument}", type(value).__name__)


def fitting(op: str, value: Any, dtype: DType) -> Number:
    """A number as an element of ``dtype``: fractions are cut off for integers; one that does not fit is an error."""
    given = number(op, value, "value")
    if dtype is dtypes.bool_:
        return bool(given)
    if dtype.is_integer:
        limit = 1 << (31 if dtype is dtypes.int32 else 63)
        if not (isinstance(given, int) or math.isfinite(given)) or not -limit <= int(given) < limit:
            raise ArgumentError(op, "value", f"{given} does not fit into {dtype}")
        return int(given)
    if math.isfinite(given) and abs(given) > _LARGEST[dtype.name]:
        raise ArgumentError(op, "value", f"{given} does not fit into {dtype}")
    return float(given)


def element(op: str, value: Any, like: Tensor) -> Tensor:
    """A number or a tensor without axes, as one element of the dtype of ``like``."""
    if not isinstance(value, Tensor):
        return filled((), fitting(op, value, like.dtype), like.dtype, like.device)
    if tensor(op, value, "value").ndim:
        raise ShapeMismatchError(op, "a value without axes", tuple(value.shape))
    return convert(value, like.dtype)


def integer(op: str, value: Any, argument: str) -> int:
    """An integer that is no bool."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise DTypeError(op, f"an integer as {argument}", type(value).__name__)
    try:
        return int(value.__index__())
    except TypeError:  # an array of several elements, or of no integers
        raise DTypeError(op, f"an integer as {argument}", type(value).__name__) from None


def choice(op: str, argument: str, value: Any, known: Iterable[str]) -> str:
    """One of the words that an argument may be."""
    words = tuple(known)
    if not isinstance(value, str) or value not in words:
        raise ArgumentError(op, argument, f"must be one of {', '.join(map(repr, words))}, not {value!r}")
    return value


def norm_order(op: str, argument: str, value: Any) -> Number | str:
    """The order of a norm: a number, or a word that the caller checks."""
    return value if isinstance(value, str) else number(op, value, argument)


def convert(value: Tensor, dtype: DType) -> Tensor:
    """The tensor in another dtype; itself if it has it."""
    if value._node.dtype is dtype:
        return value
    return make("to", (value,), (dtype.name,), value._node.shape, dtype)


def floating(op: str, value: Any, argument: str = "input") -> Tensor:
    """A floating tensor; integers and bools become float32, as in PyTorch."""
    checked = tensor(op, value, argument)
    return checked if checked._node.dtype.is_floating_point else convert(checked, dtypes.float32)


def strictly_floating(op: str, value: Any, argument: str = "input") -> Tensor:
    """A floating tensor, where PyTorch does not convert."""
    checked = tensor(op, value, argument)
    if not checked._node.dtype.is_floating_point:
        raise DTypeError(op, f"a floating {argument}", checked.dtype)
    return checked


def same_dtype(op: str, *values: Tensor) -> None:
    if any(value.dtype is not values[0].dtype for value in values):
        raise DTypeError(op, "one dtype", " and ".join(str(value.dtype) for value in values))


# Python's types stand for dtypes, as in PyTorch; its floats are float64 there.
_PYTHON_TYPES = {int: dtypes.int64, bool: dtypes.bool_}
_PYTHON_NAMES = {float: "float64", complex: "complex128"}


def as_dtype(op: str, dtype: Any) -> DType:
    """A dtype, or the one that Python's ``int`` or ``bool`` stands for."""
    if isinstance(dtype, DType):
        return dtype
    if not isinstance(dtype, type):
        hint = dtypes.instead_of(str(dtype).rpartition(".")[2])
    elif dtype in _PYTHON_TYPES:
        return _PYTHON_TYPES[dtype]
    else:
        hint = dtypes.instead_of(_PYTHON_NAMES.get(dtype, dtype.__name__))
    raise DTypeError(op, f"a ggml dtype ({hint})" if hint else "a ggml dtype", dtype)


def broadcast(op: str, *shapes: Shape) -> Shape:
    """The shape that all broadcast to, by NumPy's rules."""
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return first
    rank = max(len(shape) for shape in shapes)
    result = [1] * rank
    for shape in shapes:
        for place, extent in enumerate(shape, rank - len(shape)):
            if extent != 1:
                if result[place] not in (1, extent):
                    raise ShapeMismatchError(op, "shapes that broadcast (equal or 1 from the last axis on)", shapes)
                result[place] = extent
    return tuple(result)


def axes(op: str, dim: Any, rank: int) -> tuple[int, ...]:
    """The axes that ``dim`` names, in order: None or none is all of them."""
    if dim is None:
        return tuple(range(rank))
    if isinstance(dim, (tuple, list)):
        named = [axis(op, one, rank) for one in dim]
        if len(set(named)) != len(named):
            raise ArgumentError(op, "dim", f"names an axis twice: {tuple(dim)}")
        chosen = tuple(sorted(named)) if named else tuple(range(rank))
        return chosen if rank else ()
    one = axis(op, dim, rank)
    return (one,) if rank else ()


def several(op: str, argument: str, given: Sequence[Any], named: Any) -> Sequence[Any]:
    """The items of ``f(2, 3)``, ``f((2, 3))`` and ``f(argument=(2, 3))``, which may be a single one."""
    if named is None:
        return given[0] if len(given) == 1 and isinstance(given[0], (tuple, list)) else given
    if given:
        raise ArgumentError(op, argument, "is given twice")
    return named if isinstance(named, (tuple, list)) else (named,)


def sizes(op: str, values: Sequence[Any], argument: str = "size") -> Shape:
    """A shape from ``(2, 3)`` or ``((2, 3),)``; extents are not negative and their product is sane."""
    if len(values) == 1 and isinstance(values[0], (tuple, list)):
        values = values[0]
    shape = tuple(integer(op, value, argument) for value in values)
    if len(shape) > MAX_RANK:
        raise RankError(op, len(shape), MAX_RANK)
    if any(extent < 0 for extent in shape):
        raise ArgumentError(op, argument, f"has a negative extent: {shape}")
    numel = math.prod(extent for extent in shape if extent)
    if numel >= 1 << 46:
        raise OutOfMemoryError(numel, CPU.memory_bytes[0], str(CPU), f"{op}: {argument} {shape} is too large")
    return shape


def result_type(*operands: Tensor | Number) -> DType:
    """PyTorch's rule: tensors with axes decide within a category, then tensors without, then numbers."""
    with_axes: DType | None = None
    without_axes: DType | None = None
    plain: DType | None = None
    for operand in operands:
        if not isinstance(operand, Tensor):
            plain = _promoted(plain, SCALAR_DTYPES[type(operand)])
        elif operand._node.shape:
            with_axes = _promoted(with_axes, operand._node.dtype)
        else:
            without_axes = _promoted(without_axes, operand._node.dtype)
    result = _combined(with_axes, _combined(without_axes, plain))
    assert result is not None
    return result


def _promoted(a: DType | None, b: DType) -> DType:
    return b if a is None else promote_types(a, b)


def _combined(higher: DType | None, lower: DType | None) -> DType | None:
    if higher is None or lower is None:
        return higher or lower
    return higher if higher.category >= lower.category else promote_types(higher, lower)
