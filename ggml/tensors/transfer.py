"""Between nodes and the outside: numpy arrays, DLPack, text, other devices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core import dtypes
from ggml.core.devices import Device, allocate, devices, find_device, native_device
from ggml.core.dtypes import DType
from ggml.core.errors import DeviceMismatchError, DimensionError, DTypeError
from ggml.core.memory import own
from ggml.core.node import Node, leaf
from ggml.graph.value import row_major
from worker_native import Buffer, pinned_buffer

__all__ = [
    "axis",
    "dlpack",
    "is_pinned",
    "move",
    "pin",
    "row_major",
    "storage_array",
    "text",
    "to_numpy",
    "to_storage",
    "upload",
    "values",
]


def axis(op: str, dim: int, rank: int) -> int:
    """``dim`` counted from the front, or DimensionError. A tensor without axes takes 0 and -1."""
    if isinstance(dim, bool) or not hasattr(dim, "__index__"):
        raise DTypeError(op, "an integer as dim", type(dim).__name__)
    try:
        place = dim.__index__()
    except TypeError:  # an array of several elements, or of no integers
        raise DTypeError(op, "an integer as dim", type(dim).__name__) from None
    if not -max(rank, 1) <= place < max(rank, 1):
        raise DimensionError(op, place, rank)
    return place + max(rank, 1) if place < 0 else place


def storage_array(dtype: DType) -> Any:
    """The numpy type of the elements as they lie in memory: float32 for bool, the bits of a bfloat16."""
    if dtype is dtypes.bool_:
        return np.float32
    return np.uint16 if dtype is dtypes.bfloat16 else dtype.numpy


def to_storage(array: NDArray[Any], dtype: DType) -> NDArray[Any]:
    """The array's values as they lie in memory for ``dtype``, rounded to nearest even."""
    if dtype.is_quantized:
        raise DTypeError("factory", "a dtype that is not quantised; ggml.quantization.quantize makes those", dtype)
    if dtype is dtypes.bool_:
        is_set: NDArray[Any] = np.not_equal(array, 0).astype(np.float32)
        return is_set
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype is not dtypes.bfloat16:
            plain: NDArray[Any] = np.asarray(array).astype(dtype.numpy)
            return plain
        words = np.asarray(array, np.float32).view(np.uint32)
    rounded = (words + 0x7FFF + ((words >> 16) & 1)) >> 16
    quiet = (words >> 16) | 0x40  # a NaN must not be rounded into an infinity
    return np.where((words & 0x7FFFFFFF) > 0x7F800000, quiet, rounded).astype(np.uint16)


def upload(array: NDArray[Any], dtype: DType, device: Device) -> Node:
    """A node with the elements of an array of type ``storage_array(dtype)``."""
    plain = np.ascontiguousarray(array)
    buffer = allocate(device, plain.nbytes)
    buffer.write(plain.reshape(-1).view(np.uint8))
    return leaf(array.shape, dtype, device, buffer)


def _stored(node: Node, buffer: Buffer) -> NDArray[Any]:
    """The elements as stored, in the buffer's own memory on the CPU."""
    kind = np.dtype(storage_array(node.dtype))
    if not node.device.is_cpu or node.dtype is dtypes.bfloat16:
        raw = np.empty(node.numel * kind.itemsize, np.uint8)
        buffer.read(raw)
        stored: NDArray[Any] = raw.view(kind).reshape(node.shape)
        return stored
    code = 0 if node.dtype.is_integer else 2
    array: NDArray[Any] = np.from_dlpack(buffer.view(list(node.shape), code, kind.itemsize * 8, 1, 0))
    if buffer.is_read_only:
        array.flags.writeable = False
    return array


def to_numpy(node: Node, buffer: Buffer) -> NDArray[Any]:
    """As ``torch.Tensor.numpy``; numpy has no bfloat16."""
    if node.dtype.numpy is None:
        hint = "dequantise with .float()" if node.dtype.is_quantized else "convert with .float()"
        raise DTypeError("numpy", f"a dtype that numpy has; {hint}", node.dtype)
    if node.dtype is dtypes.bool_:
        is_set: NDArray[Any] = np.asarray(np.not_equal(_stored(node, buffer), 0))  # numpy gives no array without axes
        return is_set
    return _stored(node, buffer)


def values(node: Node, buffer: Buffer) -> NDArray[Any]:
    """The elements for reading, bfloat16 widened to float32."""
    if node.dtype is dtypes.bfloat16:
        wide: NDArray[Any] = (_stored(node, buffer).astype(np.uint32) << 16).view(np.float32)
        return wide
    return to_numpy(node, buffer)


def text(node: Node, buffer: Buffer) -> str:
    """As PyTorch prints it: values, and what is not the default."""
    notes = "" if node.dtype in (dtypes.float32, dtypes.int64, dtypes.bool_) else f", dtype={node.dtype}"
    notes += "" if node.device.is_cpu else f", device='{node.device}'"
    if node.dtype.is_quantized:
        return f"tensor(..., size={node.shape}{notes})"
    if 0 in node.shape:
        return f"tensor([], size={node.shape}{notes})"
    body = np.array2string(values(node, buffer), separator=", ", prefix="tensor(", precision=4, threshold=1000)
    return f"tensor({body}{notes})"


def move(node: Node, buffer: Buffer, device: Device) -> Node:
    """A copy on another device."""
    target = allocate(device, buffer.num_bytes)
    target.copy_from(buffer)
    return leaf(node.shape, node.dtype, device, target)


def pin(node: Node, buffer: Buffer, device: Device | str | None) -> Node:
    """A copy in memory of the CPU that the device reads fast, or the node itself where there is none."""
    if not node.device.is_cpu:
        raise DeviceMismatchError("pin_memory", (str(node.device), "cpu"))
    wanted = devices() if device is None else (find_device(str(device)),)
    able = [one for one in wanted if not one.is_cpu and native_device(one).capabilities["host_buffer"]]
    if not able or is_pinned(buffer):
        return node
    target = own(pinned_buffer(able[0].native, buffer.num_bytes))
    target.copy_from(buffer)
    return leaf(node.shape, node.dtype, node.device, target)


def is_pinned(buffer: Buffer) -> bool:
    """Whether it lies in a host buffer of another device, told by the name of its type."""
    return buffer.type_name not in ("CPU", "CPU_Mapped")


def dlpack(
    node: Node,
    buffer: Buffer,
    *,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> Any:
    """A DLPack capsule over the node's memory; BufferError for what DLPack cannot say.

    ``stream`` needs no care: the device has finished before this is called.
    """
    if node.dtype.is_quantized:
        raise BufferError(f"__dlpack__: DLPack has no {node.dtype}; take .raw_bytes(), or dequantise with .float()")
    if dl_device is not None and tuple(dl_device) != node.device.dlpack:
        if tuple(dl_device) != (1, 0) or copy is False:
            raise BufferError(f"__dlpack__: the tensor lies on {node.device}; move it with .to(device)")
        node = move(node, buffer, find_device("cpu"))
        assert node.buffer is not None
        buffer, copy = node.buffer, None
    if node.dtype is dtypes.bool_:
        if copy is False:
            raise BufferError("__dlpack__: a bool is stored as float32; it cannot be shared without a copy")
        return to_numpy(node, buffer).__dlpack__(max_version=max_version)
    if buffer.is_read_only and copy is False:
        raise BufferError("__dlpack__: the memory is read-only, which not every library heeds; leave out copy=False")
    if copy or buffer.is_read_only:
        duplicate = allocate(node.device, buffer.num_bytes)
        duplicate.copy_from(buffer)
        buffer = duplicate
    assert node.dtype.dlpack is not None
    view = buffer.view(list(node.shape), *node.dtype.dlpack, *node.device.dlpack)
    return view.__dlpack__(max_version=max_version)
