"""Values of a state dict as tensors of ggml, whatever library they come from."""

from __future__ import annotations

from typing import Any

import numpy as np

from ggml.core import dtypes
from ggml.core.devices import Device
from ggml.core.dtypes import DType
from ggml.core.errors import DTypeError
from ggml.core.node import leaf
from ggml.ops.create.interop import from_dlpack
from ggml.tensors import transfer
from ggml.tensors.tensor import Tensor, wrap
from worker_native import Buffer


def as_tensor(value: Any, like: Tensor) -> Tensor:
    """``value`` as a tensor over the same memory where its dtype is one of ggml's; else in the dtype of ``like``."""
    if isinstance(value, Tensor):
        return value
    if hasattr(value, "detach"):  # PyTorch shares nothing that is to be differentiated
        value = value.detach()
    if not isinstance(value, np.ndarray) and hasattr(value, "__dlpack__"):
        try:
            return from_dlpack(value)
        except DTypeError:
            if not hasattr(value, "__array__"):
                raise
    if not hasattr(value, "__array__"):
        raise DTypeError("load_state_dict", "a tensor or an array", type(value).__name__)
    return _of_array(np.asarray(value), like)


def _of_array(array: Any, like: Tensor) -> Tensor:
    if array.dtype.name == "bfloat16":  # numpy itself has none, extensions of it have
        return wrap(transfer.upload(array.view(np.uint16), dtypes.bfloat16, like.device))
    if array.dtype.kind not in "fiub":
        raise DTypeError("load_state_dict", "numbers", array.dtype)
    known = [dtype for dtype in dtypes.PLAIN if dtype.numpy is not None and dtype.numpy == array.dtype]
    if known and array.dtype.isnative:
        return from_dlpack(array) if array.flags.writeable else _uploaded(array, known[0], like.device)
    return _uploaded(array, dtypes.float32 if like.dtype.is_quantized else like.dtype, like.device)


def _uploaded(array: Any, dtype: DType, device: Device) -> Tensor:
    return wrap(transfer.upload(transfer.to_storage(array, dtype), dtype, device))


def as_stored(given: Tensor, dtype: DType, device: Device) -> Tensor:
    """The values in memory that nobody else writes to, as a parameter of this dtype and place holds them."""
    if dtype.is_quantized and given.dtype is not dtype:
        raise DTypeError("load_state_dict", f"{dtype} as in the module, or assign=True", given.dtype)
    result = given.to(dtype).to_device(device)
    memory = result.buffer()
    # What was made on the way is nobody else's. A tensor's own memory may be seen through its numpy().
    if result._node is not given._node:
        return result
    own = Buffer(device.native, memory.num_bytes)
    own.copy_from(memory)
    return wrap(leaf(result._node.shape, dtype, device, own))
