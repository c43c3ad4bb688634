"""Tensors to blocks of a quantised type and back, equal to ggml's own functions byte for byte."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core import dtypes
from ggml.core.devices import CPU, allocate
from ggml.core.dtypes import DType, of_ggml_type
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.core.node import leaf
from ggml.graph.threads import get_num_threads
from ggml.tensors.tensor import Tensor, wrap
from worker_native import Buffer, check_blocks, dequantize_rows, needs_importance, quantize_rows, row_types

__all__ = ["Progress", "check", "dequantize", "needs_imatrix", "quantize", "types"]

#: Hears (rows done, rows in all) while the work runs; an exception in it ends the work.
Progress = Callable[[int, int], object]

FloatArray = NDArray[np.float32]


@functools.cache
def types() -> tuple[DType, ...]:
    """What ``quantize`` can make: every quantised type that this ggml writes and reads, float16 and bfloat16."""
    return tuple(of_ggml_type(number) for number in row_types())


def needs_imatrix(dtype: DType) -> bool:
    """Whether the type has so few bits that ggml does not make it without an importance matrix."""
    return _known("needs_imatrix", dtype) and needs_importance(dtype.ggml_type)


def quantize(
    input: Tensor,
    dtype: DType,
    imatrix: Any = None,
    *,
    num_threads: int | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """The tensor's rows (its last axis) as blocks of ``dtype``, on the same device.

    ``imatrix`` weighs the columns: as many numbers, 0 or more, as a row has elements; of a tensor with three
    axes (experts) also one such row for each matrix. Rows are shared out among ``num_threads`` threads, by
    default those of ``ggml.get_num_threads()``. Ctrl-C and an exception in ``progress`` end the work.

    ShapeMismatchError for rows that are no multiple of ``dtype.block``; ArgumentError for elements that are not
    finite or beyond the type's range, and where a needed ``imatrix`` is missing.
    """
    _known("quantize", dtype)
    rows = _rows_of(input, dtype)
    importance = _importance(imatrix, tuple(input.shape))
    if importance is None and needs_importance(dtype.ggml_type):
        raise ArgumentError("quantize", "imatrix", f"is needed for {dtype}")
    memory, packed = _new_memory(dtype.num_bytes(rows.size))
    if rows.size:
        threads, watch = _threads("quantize", num_threads), _Watch(progress, len(rows))
        try:
            quantize_rows(dtype.ggml_type, rows, importance, packed, threads, watch.callback)
        except (ValueError, RuntimeError) as error:
            if watch.has_raised:
                raise
            raise _refused(error, dtype) from None
    return wrap(leaf(tuple(input.shape), dtype, CPU, memory)).to_device(input.device)


def dequantize(input: Tensor, *, num_threads: int | None = None, progress: Progress | None = None) -> Tensor:
    """The float32 elements that a tensor of one of ``types()`` stands for, on the same device.

    ArgumentError for blocks whose scale is not finite. ``progress`` hears of blocks, not of rows.
    """
    _need_tensor("dequantize", input)
    dtype = input.dtype
    if dtype not in types():
        raise DTypeError("dequantize", "a quantised tensor, float16 or bfloat16", dtype)
    memory, raw = _new_memory(4 * input.numel())
    out = raw.view(np.float32)
    if out.size:
        packed = _bytes_of(input)
        threads, watch = _threads("dequantize", num_threads), _Watch(progress, out.size // dtype.block)
        try:
            dequantize_rows(dtype.ggml_type, packed, out, threads, watch.callback)
        except ValueError as error:
            if watch.has_raised:
                raise
            raise ArgumentError("dequantize", "input", str(error)) from None
    return wrap(leaf(tuple(input.shape), dtypes.float32, CPU, memory)).to_device(input.device)


def check(input: Tensor) -> Tensor:
    """The tensor, if every block of it has finite scales; ArgumentError otherwise. For bytes from elsewhere."""
    _need_tensor("check", input)
    if not input.is_quantized:
        raise DTypeError("check", "a quantised tensor", input.dtype)
    try:
        check_blocks(input.dtype.ggml_type, _bytes_of(input))
    except ValueError as error:
        raise ArgumentError("check", "input", str(error)) from None
    return input


def _need_tensor(op: str, value: Any) -> None:
    if not isinstance(value, Tensor):
        raise DTypeError(op, "a tensor as input", type(value).__name__)


def _known(op: str, dtype: Any) -> bool:
    if dtype not in types():
        raise DTypeError(op, f"one of {', '.join(known.name for known in types())} as dtype", dtype)
    return True


def _rows_of(input: Any, dtype: DType) -> FloatArray:
    """The elements as float32 (R, C) on the host."""
    _need_tensor("quantize", input)
    if not input.dtype.is_floating_point:
        hint = " (dequantise it first)" if input.is_quantized else ""
        raise DTypeError("quantize", f"float32, float16 or bfloat16{hint}", input.dtype)
    shape = tuple(input.shape)
    if not shape or shape[-1] % dtype.block:
        raise ShapeMismatchError("quantize", f"rows of a multiple of {dtype.block} elements for {dtype}", shape)
    wide = input if input.dtype is dtypes.float32 else input.to(dtypes.float32)
    array: FloatArray = wide.to_device(CPU).numpy().reshape(math.prod(shape[:-1]), shape[-1])
    return array


def _importance(imatrix: Any, shape: tuple[int, ...]) -> FloatArray | None:
    """The weights as (M, C), M matrices of the tensor or 1."""
    if imatrix is None:
        return None
    given = imatrix.to_device(CPU).float().numpy() if isinstance(imatrix, Tensor) else imatrix
    try:
        with np.errstate(over="ignore"):  # what becomes infinite is refused
            weights = np.ascontiguousarray(given, np.float32)
    except (ValueError, TypeError) as error:
        raise DTypeError("quantize", "numbers as imatrix", error) from None
    num_matrices = math.prod(shape[:-2])
    if weights.size == shape[-1]:
        return weights.reshape(1, shape[-1])
    if weights.size != num_matrices * shape[-1]:
        wanted = f"{shape[-1]} numbers" + (f", or {num_matrices} times as many" if num_matrices > 1 else "")
        raise ShapeMismatchError("quantize", f"an imatrix of {wanted} for a tensor {shape}", weights.shape)
    return weights.reshape(num_matrices, shape[-1])


def _bytes_of(input: Tensor) -> NDArray[np.uint8]:
    """The blocks as they lie in memory, without a copy on the CPU."""
    local = input.to_device(CPU)
    return _view(local.buffer(), local.dtype.num_bytes(local.numel()))


def _new_memory(num_bytes: int) -> tuple[Buffer, NDArray[np.uint8]]:
    """Memory of the CPU, and the same as an array."""
    memory = allocate(CPU, num_bytes)
    return memory, _view(memory, num_bytes)


def _view(memory: Buffer, num_bytes: int) -> NDArray[np.uint8]:
    return np.asarray(np.from_dlpack(memory.view([num_bytes], 1, 8, 1, 0)))


def _threads(op: str, num_threads: int | None) -> int:
    if num_threads is None:
        return get_num_threads()
    if isinstance(num_threads, bool) or not isinstance(num_threads, int) or not 1 <= num_threads <= 512:
        raise ArgumentError(op, "num_threads", f"{num_threads!r} is no number from 1 to 512")
    return num_threads


class _Watch:
    """The progress function of one call, which remembers whether an exception is its own."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        if progress is not None and not callable(progress):
            raise DTypeError("progress", "a function or None", type(progress).__name__)
        self._progress, self._total = progress, total
        self.has_raised = False

    @property
    def callback(self) -> Callable[[int], object] | None:
        return None if self._progress is None else self._tell

    def _tell(self, done: int) -> None:
        assert self._progress is not None
        try:
            self._progress(done, self._total)
        except BaseException:
            self.has_raised = True
            raise


def _refused(error: Exception, dtype: DType) -> Exception:
    what, _, why = str(error).partition(": ")
    if what == "importance":
        return ArgumentError("quantize", "imatrix", why)
    if what == "ggml":  # an assertion that the checks before it did not foresee
        return ArgumentError("quantize", "input", f"cannot be written as {dtype} ({why})")
    return ArgumentError("quantize", "input", str(error)) if isinstance(error, ValueError) else error
