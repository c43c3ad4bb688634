"""Tensors from other libraries' memory."""

from __future__ import annotations

import contextlib
import math
import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core import dtypes
from ggml.core.devices import CPU, Device, device, devices
from ggml.core.dtypes import DType, from_dlpack_type
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.core.memory import own
from ggml.core.node import leaf, lent_leaf
from ggml.ops.shape.strided import strided
from ggml.tensors.tensor import Tensor, wrap
from ggml.tensors.transfer import move, row_major, upload
from worker_native import Buffer, borrow_array, describe_array

# DLPack's kinds of memory that the CPU reads in place: its own, and what a CUDA or ROCm driver pinned.
_HOST_MEMORY = (1, 3, 11)

# Devices whose memory other libraries can point at.
_SHARED = ("cuda", "vulkan", "mps", "xpu")


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor over the memory of any object that speaks DLPack, which it keeps alive.

    Elements that lie in row-major order are shared, others are copied. A bool is copied. With ``copy=False`` a copy
    is a BufferError. What others write into shared memory shows in the tensor and its views; operations on them are
    computed when they are called, so their results keep what the memory held then.
    """
    if not isinstance(copy, (bool, type(None))):
        raise DTypeError("from_dlpack", "a bool or None as copy", type(copy).__name__)
    try:
        code, bits, shape, strides, below, place = describe_array(ext_tensor)
    except TypeError:
        raise DTypeError("from_dlpack", "an object with __dlpack__", type(ext_tensor).__name__) from None
    dtype = from_dlpack_type(code, bits)
    source = _device_at(place)
    plain = 0 in shape or _is_row_major(shape, strides)
    target = source if device is None else _device(device)
    if copy is False and (not plain or dtype is dtypes.bool_ or target != source):
        raise BufferError("from_dlpack: the elements cannot be shared as they lie; leave out copy=False")
    if dtype is dtypes.bool_:
        return wrap(upload(np.from_dlpack(ext_tensor).astype(np.float32), dtype, source)).to_device(target)
    if 0 in shape:
        return wrap(leaf(shape, dtype, source, Buffer(source.native, 0))).to_device(target)
    buffer = own(borrow_array(source.native, ext_tensor, _is_read_only(ext_tensor)))
    if not plain:
        span = wrap(leaf((buffer.num_bytes // dtype.itemsize,), dtype, source, buffer))
        result = strided(span, shape, tuple(strides), below)
        result.buffer()
        return result.to_device(target)
    if copy:
        return wrap(move(leaf(shape, dtype, source, buffer), buffer, source)).to_device(target)
    make = leaf if _is_constant(ext_tensor) else lent_leaf
    return wrap(make(shape, dtype, source, buffer)).to_device(target)


def _is_read_only(owner: Any) -> bool:
    """Whether writing into the owner's memory is forbidden."""
    if isinstance(owner, np.ndarray):
        return not owner.flags.writeable
    if isinstance(owner, bytes):
        return True
    with contextlib.suppress(TypeError, BufferError, ValueError):
        return memoryview(owner).readonly
    with contextlib.suppress(TypeError, BufferError, ValueError, RuntimeError, AttributeError):
        # numpy reads the flag of DLPack; what it does not know, such as bfloat16, no library makes read-only.
        return not np.from_dlpack(owner).flags.writeable
    return False


def _is_constant(owner: Any) -> bool:
    """Whether nobody can change the memory: a read-only array may be a look at one that is written to."""
    while isinstance(owner, np.ndarray):
        if owner.flags.writeable:
            return False
        if owner.base is None:  # whoever made it read-only may make it writable again
            return False
        owner = owner.base
    if isinstance(owner, bytes):
        return True
    if isinstance(owner, memoryview):
        return owner.readonly and _is_constant(owner.obj)
    if isinstance(owner, mmap.mmap):
        with memoryview(owner) as look:
            return look.readonly
    return False


def _is_row_major(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    wanted = row_major(shape)
    return all(extent == 1 or have == want for extent, have, want in zip(shape, strides, wanted, strict=True))


def _device(spec: Any) -> Device:
    return device(spec)


def _device_at(place: tuple[int, int]) -> Device:
    """The device with these DLPack numbers."""
    if place[0] in _HOST_MEMORY:
        return CPU
    for found in devices():
        if found.type in _SHARED and found.dlpack == place:
            return found
    raise ArgumentError("from_dlpack", "the device", f"of type {place[0]}, number {place[1]} is not here")


def from_numpy(ndarray: NDArray[Any]) -> Tensor:
    """A tensor over the array's memory (a copy for bools, and for arrays not in row-major order)."""
    if not isinstance(ndarray, np.ndarray):
        raise DTypeError("from_numpy", "a numpy array", type(ndarray).__name__)
    if ndarray.dtype.kind not in "fiub" or not ndarray.dtype.isnative:
        raise DTypeError("from_numpy", "numbers in the machine's byte order", ndarray.dtype)
    return from_dlpack(ndarray)


def from_buffer(
    buffer: Any, *, dtype: DType, count: int = -1, offset: int = 0, shape: tuple[int, ...] | None = None
) -> Tensor:
    """A tensor over bytes, such as a mapped file; as ``torch.frombuffer``, and with quantised types.

    ``offset`` is in bytes; ``count`` -1 is all that is left. A quantised dtype needs ``shape``, whose last
    extent is a multiple of the dtype's block. What others write into the bytes shows as ``from_dlpack`` says.
    """
    return _over_bytes(buffer, dtype, count, offset, shape, is_private=False)


def over_private(raw: NDArray[np.uint8], *, dtype: DType, shape: tuple[int, ...]) -> Tensor:
    """A tensor over bytes that nobody but the tensor will ever write to."""
    return _over_bytes(raw, dtype, math.prod(shape), 0, shape, is_private=True)


def _over_bytes(
    buffer: Any, dtype: DType, count: int, offset: int, shape: tuple[int, ...] | None, is_private: bool
) -> Tensor:
    try:
        raw = np.frombuffer(buffer, np.uint8)
    except (ValueError, TypeError, BufferError) as error:
        raise DTypeError("from_buffer", "an object with bytes in order", error) from None
    if not 0 <= offset <= raw.size:
        raise ArgumentError("from_buffer", "offset", f"{offset} lies outside {raw.size} bytes")
    wanted = _shape_of(dtype, count, raw.size - offset, shape)
    numel = math.prod(wanted)
    num_bytes = dtype.num_bytes(numel) if dtype.is_quantized else numel * dtype.itemsize
    if num_bytes > raw.size - offset:
        raise ShapeMismatchError("from_buffer", f"at least {num_bytes} bytes for {wanted}", raw.size - offset)
    part = raw[offset : offset + num_bytes]
    if dtype is dtypes.bool_:
        return wrap(upload((part.reshape(wanted) != 0).astype(np.float32), dtype, CPU))
    memory = borrow_array(CPU.native, part, not raw.flags.writeable) if num_bytes else Buffer(CPU.native, 0)
    make = leaf if is_private or _is_constant(raw) else lent_leaf
    return wrap(make(wanted, dtype, CPU, memory))


def _shape_of(dtype: DType, count: int, num_bytes: int, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    if shape is None and dtype.is_quantized:
        raise ArgumentError("from_buffer", "shape", f"is needed for {dtype}")
    wanted = tuple(shape) if shape is not None else (num_bytes // dtype.itemsize if count == -1 else count,)
    if any(extent < 0 for extent in wanted):
        raise ArgumentError("from_buffer", "shape", f"has a negative extent: {wanted}")
    if dtype.is_quantized and (not wanted or wanted[-1] % dtype.block):
        raise ShapeMismatchError("from_buffer", f"rows of a multiple of {dtype.block}", wanted)
    return wanted
