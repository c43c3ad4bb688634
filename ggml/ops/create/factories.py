"""New tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from ggml.core import dtypes
from ggml.core.devices import CPU, Device, device, require_memory, unplaced
from ggml.core.dtypes import DType
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.core.node import Shape
from ggml.ops.create.options import Like, Options, Sized, Spare, Wish, wish
from ggml.ops.create.options import Place as Place
from ggml.registry.arguments import SCALAR_DTYPES, Number, fitting, integer, number, several, sizes
from ggml.tensors.tensor import Tensor, wrap
from ggml.tensors.transfer import to_storage, upload


def _place(spec: Place) -> Device:
    return unplaced() if spec is None else device(spec)


def put(array: NDArray[Any], dtype: DType, on: Place) -> Tensor:
    """A tensor of the array's values, converted to ``dtype``."""
    if dtype.is_quantized:
        raise DTypeError("factory", "a dtype that is not quantised; ggml.quantization.quantize makes those", dtype)
    return wrap(upload(to_storage(array, dtype), dtype, _place(on)))


def _expanded(wanted: Wish, shape: Shape, value: Number) -> Tensor:
    """One element, looked at from everywhere: it costs no memory until it must lie in order."""
    one = put(np.array(value), wanted.dtype, wanted.device)
    return wanted.settle(one.expand(shape) if shape else one)


def extents(name: str, given: tuple[Any, ...], options: Mapping[str, Any]) -> Shape:
    """The shape of ``zeros(2, 3)``, ``zeros((2, 3))`` and ``zeros(size=(2, 3))``."""
    return sizes(name, several(name, "size", given, options.get("size")))


def zeros(*shape: Any, dtype: DType | None = None, device: Place = None, **options: Unpack[Sized]) -> Tensor:
    """All elements 0."""
    return _expanded(wish("zeros", options, Sized, dtype, device), extents("zeros", shape, options), 0)


def ones(*shape: Any, dtype: DType | None = None, device: Place = None, **options: Unpack[Sized]) -> Tensor:
    """All elements 1."""
    return _expanded(wish("ones", options, Sized, dtype, device), extents("ones", shape, options), 1)


def empty(*shape: Any, dtype: DType | None = None, device: Place = None, **options: Unpack[Sized]) -> Tensor:
    """The same as ``zeros``: a tensor that never changes has no use for elements left open."""
    return _expanded(wish("empty", options, Sized, dtype, device), extents("empty", shape, options), 0)


def full(
    size: Any, fill_value: Number, *, dtype: DType | None = None, device: Place = None, **options: Unpack[Spare]
) -> Tensor:
    """All elements ``fill_value``; the dtype is that of the number."""
    value = number("full", fill_value, "fill_value")
    wanted = wish("full", options, Spare, dtype, device, default=SCALAR_DTYPES[type(value)])
    return _expanded(wanted, sizes("full", (size,)), value)


def _like(name: str, input: Tensor, value: Number, dtype: DType | None, on: Place, options: Like) -> Tensor:
    if not isinstance(input, Tensor):
        raise DTypeError(name, "a tensor as input", type(input).__name__)
    return _expanded(wish(name, options, Like, dtype, on, like=input), input._node.shape, value)


def zeros_like(input: Tensor, *, dtype: DType | None = None, device: Place = None, **options: Unpack[Like]) -> Tensor:
    """Zeros in the shape, dtype and place of ``input``."""
    return _like("zeros_like", input, 0, dtype, device, options)


def ones_like(input: Tensor, *, dtype: DType | None = None, device: Place = None, **options: Unpack[Like]) -> Tensor:
    """Ones in the shape, dtype and place of ``input``."""
    return _like("ones_like", input, 1, dtype, device, options)


def empty_like(input: Tensor, *, dtype: DType | None = None, device: Place = None, **options: Unpack[Like]) -> Tensor:
    """The same as ``zeros_like``."""
    return _like("empty_like", input, 0, dtype, device, options)


def full_like(
    input: Tensor, fill_value: Number, *, dtype: DType | None = None, device: Place = None, **options: Unpack[Like]
) -> Tensor:
    """``fill_value`` in the shape, dtype and place of ``input``."""
    return _like("full_like", input, number("full_like", fill_value, "fill_value"), dtype, device, options)


def _on_host(shape: Shape) -> Shape:
    """A shape that the host has memory for, at eight bytes an element."""
    require_memory(CPU, math.prod(shape) * 8)
    return shape


def arange(
    start: Number | None = None,
    end: Number | None = None,
    step: Number = 1,
    *,
    dtype: DType | None = None,
    device: Place = None,
    **options: Unpack[Spare],
) -> Tensor:
    """``start``, ``start + step`` ... up to ``end``, which is left out. With one number: from 0 to it.

    An integer dtype cuts the fractions off the bounds and the step first, as in PyTorch.
    """
    bounds = (0, start) if end is None else (0 if start is None else start, end)
    values = [number("arange", value, "a bound") for value in (*bounds, step)]
    is_integer = all(isinstance(value, int) for value in values)
    wanted = wish("arange", options, Spare, dtype, device, default=dtypes.int64 if is_integer else dtypes.float32)
    if not all(math.isfinite(value) for value in values):
        raise ArgumentError("arange", "bounds", f"and step must be finite: {values}")
    count = _num_steps(*values)
    if wanted.dtype.is_integer and not is_integer:
        # PyTorch counts the steps before the cut for int32, after it for int64.
        values = [fitting("arange", value, wanted.dtype) for value in values]
        count = count if wanted.dtype is dtypes.int32 else _num_steps(*values)
    first, _, by = values
    _on_host(sizes("arange", (count,)))
    steps: NDArray[Any] = np.arange(count, dtype=np.int64 if isinstance(first, int) else np.float64)
    return wanted.settle(put(steps * by + first, wanted.dtype, wanted.device))


def _num_steps(first: Number, last: Number, by: Number) -> int:
    if by == 0:
        raise ArgumentError("arange", "step", "must not be 0")
    if (last - first) / by < 0:
        raise ArgumentError("arange", "bounds", f"{first} and {last} do not fit a step of {by}")
    is_integer = all(isinstance(value, int) for value in (first, last, by))
    return int(-(-(last - first) // by)) if is_integer else math.ceil((last - first) / by)


def between(name: str, start: Any, end: Any, steps: Any, dtype: DType) -> NDArray[Any]:
    """``steps`` float64 numbers from ``start`` to ``end``; an integer dtype cuts the fractions off these first."""
    count = integer(name, steps, "steps")
    first, last = number(name, start, "start"), number(name, end, "end")
    _on_host(sizes(name, (count,), "steps"))
    if not dtype.is_integer:
        return np.linspace(float(first), float(last), count)
    first, last = fitting(name, first, dtype), fitting(name, last, dtype)
    step = (last - first) / (count - 1) if count > 1 else 0.0
    places = np.arange(count, dtype=np.float64)
    # From both ends, as PyTorch: where a fraction is just below an integer decides what is left of it.
    values: NDArray[Any] = np.where(places < count // 2, first + step * places, last - step * (count - 1 - places))
    return values if count > 1 else np.full(count, float(first))


def linspace(
    start: Number, end: Number, steps: int, *, dtype: DType | None = None, device: Place = None,
    **options: Unpack[Spare],
) -> Tensor:  # fmt: skip
    """``steps`` numbers from ``start`` to ``end``, both included, equally far apart."""
    wanted = wish("linspace", options, Spare, dtype, device)
    return wanted.settle(put(between("linspace", start, end, steps, wanted.dtype), wanted.dtype, wanted.device))


def eye(
    n: int, m: int | None = None, *, dtype: DType | None = None, device: Place = None, **options: Unpack[Spare]
) -> Tensor:
    """1 on the diagonal, 0 elsewhere."""
    rows, columns = _on_host(sizes("eye", (n, n if m is None else m)))
    wanted = wish("eye", options, Spare, dtype, device)
    return wanted.settle(put(np.eye(rows, columns, dtype=np.float32), wanted.dtype, wanted.device))


def tensor(data: Any, *, dtype: DType | None = None, device: Place = None, **options: Unpack[Options]) -> Tensor:
    """A tensor of these values: numbers, nested sequences, an array or a tensor; always a copy.

    Python floats become float32, integers int64, as in PyTorch.
    """
    if isinstance(data, Tensor):
        wanted = wish("tensor", options, Options, dtype, device, like=data)
        return wanted.settle(data.to(wanted.device).to(wanted.dtype).clone())
    array = _array_of(data)
    default = None if dtype is not None else _dtype_of(data, array)
    wanted = wish("tensor", options, Options, default if dtype is None else dtype, device)
    return wanted.settle(put(array, wanted.dtype, wanted.device))


def _array_of(data: Any) -> NDArray[Any]:
    try:
        array = np.asarray(_plain(data))
    except (ValueError, OverflowError) as error:
        raise ShapeMismatchError("tensor", "rows of equal length", error) from None
    if array.dtype.kind not in "fiub":
        raise DTypeError("tensor", "numbers that fit into 64 bits", array.dtype)
    return array


def _plain(data: Any) -> Any:
    """Tensors inside sequences as what they hold."""
    if isinstance(data, Tensor):
        return data.numpy()
    if isinstance(data, (list, tuple)):
        return [_plain(item) for item in data]
    return data


def _dtype_of(data: Any, array: NDArray[Any]) -> DType:
    if hasattr(data, "dtype"):
        for known in (*dtypes.NUMERIC, dtypes.bool_):
            if known.numpy is not None and known.numpy == array.dtype:
                return known
        raise DTypeError("tensor", "float32, float16, int32, int64 or bool; or name a dtype", array.dtype)
    if array.dtype.kind == "b":
        return dtypes.bool_
    return dtypes.int64 if array.dtype.kind in "iu" else dtypes.float32


def as_tensor(data: Any, *, dtype: DType | None = None, device: Place = None, **options: Unpack[Options]) -> Tensor:
    """As ``tensor``, without a copy where none is needed."""
    from ggml.ops.create.interop import from_dlpack

    known = data if isinstance(data, Tensor) else from_dlpack(data) if hasattr(data, "__dlpack__") else None
    if known is None:
        return tensor(data, dtype=dtype, device=device, **options)
    wanted = wish("as_tensor", options, Options, dtype, device, like=known)
    return wanted.settle(known.to(wanted.device).to(wanted.dtype))


def scalar_tensor(s: Number, *, dtype: DType | None = None, device: Place = None, **options: Unpack[Spare]) -> Tensor:
    """One number, float32 by default."""
    wanted = wish("scalar_tensor", options, Spare, dtype, device)
    return wanted.settle(put(np.array(number("scalar_tensor", s, "s")), wanted.dtype, wanted.device))
