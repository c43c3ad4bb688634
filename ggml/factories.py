"""New tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml import dtypes
from ggml.devices import CPU, Device, device, require_memory
from ggml.dtypes import DType
from ggml.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.host import to_storage, upload
from ggml.node import Shape
from ggml.ops.arguments import as_dtype, integer, number, sizes
from ggml.tensor import Tensor, wrap

Number = int | float | bool
Place = Device | str | None


def _place(spec: Place) -> Device:
    return CPU if spec is None else device(spec)


def put(array: NDArray[Any], dtype: DType, on: Place) -> Tensor:
    """A tensor of the array's values, converted to ``dtype``."""
    if dtype.is_quantized:
        raise DTypeError("factory", "a dtype that is not quantised; ggml.quantization.quantize makes those", dtype)
    return wrap(upload(to_storage(array, dtype), dtype, _place(on)))


def _filled(name: str, size: tuple[Any, ...], value: Number, dtype: DType | None, on: Place) -> Tensor:
    shape = sizes(name, size)
    kind = dtypes.float32 if dtype is None else as_dtype(name, dtype)
    return _expanded(shape, value, kind, on)


def _expanded(shape: Shape, value: Number, dtype: DType, on: Place) -> Tensor:
    """One element, looked at from everywhere: it costs no memory until it must lie in order."""
    one = put(np.array(value), dtype, on)
    return one.expand(shape) if shape else one


def zeros(*size: Any, dtype: DType | None = None, device: Place = None) -> Tensor:
    """All elements 0."""
    return _filled("zeros", size, 0, dtype, device)


def ones(*size: Any, dtype: DType | None = None, device: Place = None) -> Tensor:
    """All elements 1."""
    return _filled("ones", size, 1, dtype, device)


def empty(*size: Any, dtype: DType | None = None, device: Place = None) -> Tensor:
    """The same as ``zeros``: a tensor that never changes has no use for elements left open."""
    return _filled("empty", size, 0, dtype, device)


def full(size: Any, fill_value: Number, *, dtype: DType | None = None, device: Place = None) -> Tensor:
    """All elements ``fill_value``; the dtype is that of the number."""
    value = number("full", fill_value, "fill_value")
    kind = {bool: dtypes.bool_, int: dtypes.int64, float: dtypes.float32}[type(value)] if dtype is None else dtype
    return _filled("full", (size,), value, kind, device)


def _like(name: str, input: Tensor, value: Number, dtype: DType | None, on: Place) -> Tensor:
    if not isinstance(input, Tensor):
        raise DTypeError(name, "a tensor as input", type(input).__name__)
    kind = input.dtype if dtype is None else dtype
    return _filled(name, (tuple(input.shape),), value, kind, input.device if on is None else on)


def zeros_like(input: Tensor, *, dtype: DType | None = None, device: Place = None) -> Tensor:
    """Zeros in the shape, dtype and place of ``input``."""
    return _like("zeros_like", input, 0, dtype, device)


def ones_like(input: Tensor, *, dtype: DType | None = None, device: Place = None) -> Tensor:
    """Ones in the shape, dtype and place of ``input``."""
    return _like("ones_like", input, 1, dtype, device)


def empty_like(input: Tensor, *, dtype: DType | None = None, device: Place = None) -> Tensor:
    """The same as ``zeros_like``."""
    return _like("empty_like", input, 0, dtype, device)


def full_like(input: Tensor, fill_value: Number, *, dtype: DType | None = None, device: Place = None) -> Tensor:
    """``fill_value`` in the shape, dtype and place of ``input``."""
    return _like("full_like", input, number("full_like", fill_value, "fill_value"), dtype, device)


def _on_host(shape: Shape) -> Shape:
    """A shape that the host has memory for, at eight bytes an element."""
    require_memory(CPU, math.prod(shape) * 8)
    return shape


def arange(
    start: Number, end: Number | None = None, step: Number = 1, *, dtype: DType | None = None, device: Place = None
) -> Tensor:
    """``start``, ``start + step`` ... up to ``end``, which is left out. With one number: from 0 to it."""
    first, last = (0, start) if end is None else (start, end)
    values = [number("arange", value, "a bound") for value in (first, last, step)]
    first, last, by = values
    if by == 0 or not all(math.isfinite(value) for value in values):
        raise ArgumentError("arange", "step", "must not be 0, and all numbers must be finite")
    if (last - first) / by < 0:
        raise ArgumentError("arange", "bounds", f"{first} and {last} do not fit a step of {by}")
    is_integer = all(isinstance(value, int) for value in values)
    kind = (dtypes.int64 if is_integer else dtypes.float32) if dtype is None else as_dtype("arange", dtype)
    count = -(-(last - first) // by) if is_integer else math.ceil((last - first) / by)
    _on_host(sizes("arange", (int(count),)))
    steps: NDArray[Any] = np.arange(int(count), dtype=np.int64 if is_integer else np.float64)
    return put(steps * by + first, kind, device)


def linspace(start: Number, end: Number, steps: int, *, dtype: DType | None = None, device: Place = None) -> Tensor:
    """``steps`` numbers from ``start`` to ``end``, both included, equally far apart."""
    count = integer("linspace", steps, "steps")
    first, last = number("linspace", start, "start"), number("linspace", end, "end")
    _on_host(sizes("linspace", (count,)))
    kind = dtypes.float32 if dtype is None else as_dtype("linspace", dtype)
    return put(np.linspace(float(first), float(last), count), kind, device)


def eye(n: int, m: int | None = None, *, dtype: DType | None = None, device: Place = None) -> Tensor:
    """1 on the diagonal, 0 elsewhere."""
    rows, columns = _on_host(sizes("eye", (n, n if m is None else m)))
    kind = dtypes.float32 if dtype is None else as_dtype("eye", dtype)
    return put(np.eye(rows, columns, dtype=np.float32), kind, device)


def tensor(data: Any, *, dtype: DType | None = None, device: Place = None) -> Tensor:
    """A tensor of these values: numbers, nested sequences, an array or a tensor; always a copy.

    Python floats become float32, integers int64, as in PyTorch.
    """
    if isinstance(data, Tensor):
        return data.to(*[wish for wish in (dtype, device) if wish is not None]).clone()
    array = _array_of(data)
    return put(array, _dtype_of(data, array) if dtype is None else as_dtype("tensor", dtype), device)


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


def as_tensor(data: Any, *, dtype: DType | None = None, device: Place = None) -> Tensor:
    """As ``tensor``, without a copy where none is needed."""
    from ggml.exchange import from_dlpack

    known = data if isinstance(data, Tensor) else from_dlpack(data) if hasattr(data, "__dlpack__") else None
    if known is None:
        return tensor(data, dtype=dtype, device=device)
    return known.to(*[wish for wish in (dtype, device) if wish is not None])


def scalar_tensor(s: Number, *, dtype: DType | None = None, device: Place = None) -> Tensor:
    """One number, float32 by default."""
    return put(np.array(number("scalar_tensor", s, "s")), dtypes.float32 if dtype is None else dtype, device)
