"""Arrays from the wire <-> tensors of a device."""

from __future__ import annotations

import numpy as np

from cluster.messages.program import Array
from ggml.core import dtypes
from ggml.core.devices import Device
from ggml.core.dtypes import dtype_named
from ggml.ops.create.interop import from_numpy, over_private
from ggml.tensors.tensor import Tensor

_ALIGNED_BYTES = 64  # what ggml's CPU buffers have


def tensor_of(array: Array, device: Device) -> Tensor:
    """Over the array's memory on the CPU, where it is aligned."""
    dtype = dtype_named(array.dtype)
    if dtype is dtypes.bool_:
        return from_numpy(np.not_equal(array.data, 0).reshape(array.shape)).to(device)
    data = array.data
    if data.ctypes.data % _ALIGNED_BYTES or not data.flags.c_contiguous:
        data = _aligned(data)
    return over_private(data, dtype=dtype, shape=array.shape).to(device)


def _aligned(data: np.ndarray) -> np.ndarray:
    room = np.empty(len(data) + _ALIGNED_BYTES, np.uint8)
    begin = -room.ctypes.data % _ALIGNED_BYTES
    placed = room[begin : begin + len(data)]
    placed[:] = data
    return placed


def array_of(tensor: Tensor) -> Array:
    """The tensor's elements, copied."""
    if tensor.dtype is dtypes.bool_:
        data = tensor.numpy().astype(np.uint8).reshape(-1)
    else:
        data = np.frombuffer(tensor.raw_bytes(), np.uint8)
    return Array(tensor.dtype.name, tuple(tensor.shape), data)
