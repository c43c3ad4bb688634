"""Element types of ONNX, and what each is here. Numbers are those of ``onnx.TensorProto.DataType``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core import dtypes
from ggml.core.devices import Device
from ggml.core.dtypes import DType
from ggml.core.errors import DTypeError, UnsupportedOpError
from ggml.tensors.tensor import Tensor, wrap
from ggml.tensors.transfer import to_storage, upload

FLOAT, UINT8, INT8, UINT16, INT16, INT32, INT64, BOOL = 1, 2, 3, 4, 5, 6, 7, 9
FLOAT16, DOUBLE, UINT32, UINT64, BFLOAT16 = 10, 11, 12, 13, 16

#: What tensors of such elements are here: double becomes float32, and small integers become int32.
HERE: dict[int, DType] = {
    FLOAT: dtypes.float32,
    DOUBLE: dtypes.float32,
    FLOAT16: dtypes.float16,
    BFLOAT16: dtypes.bfloat16,
    UINT8: dtypes.int32,
    INT8: dtypes.int32,
    UINT16: dtypes.int32,
    INT16: dtypes.int32,
    INT32: dtypes.int32,
    UINT32: dtypes.int64,
    INT64: dtypes.int64,
    UINT64: dtypes.int64,
    BOOL: dtypes.bool_,
}

#: What ours are there.
THERE: dict[DType, int] = {
    dtypes.float32: FLOAT,
    dtypes.float16: FLOAT16,
    dtypes.bfloat16: BFLOAT16,
    dtypes.int32: INT32,
    dtypes.int64: INT64,
    dtypes.bool_: BOOL,
}


def here(number: int, what: str) -> DType:
    """The dtype of an element type of ONNX, or UnsupportedOpError."""
    if number not in HERE:
        raise UnsupportedOpError(what, "ggml", f"there is no dtype for ONNX's element type {number}")
    return HERE[number]


def there(dtype: DType) -> int:
    """The element type of a dtype, or DTypeError: ONNX has no blocks of quantised numbers."""
    if dtype not in THERE:
        raise DTypeError("onnx.export", "float, integer or bool tensors; dequantise with .float()", dtype)
    return THERE[dtype]


def dtype_of_array(array: NDArray[Any]) -> DType:
    """What an array's elements are here."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "b":
        return dtypes.bool_
    if kind in "iu":
        return dtypes.int32 if size < 4 or (kind == "i" and size == 4) else dtypes.int64
    if kind == "f":
        return dtypes.float16 if size == 2 else dtypes.float32
    if array.dtype.name == "bfloat16":  # numpy knows it as a kind of ml_dtypes
        return dtypes.bfloat16
    raise UnsupportedOpError("onnx.load", "ggml", f"there is no dtype for elements of {array.dtype.name}")


def to_tensor(array: NDArray[Any], device: Device) -> Tensor:
    """A tensor with the values of an array, as near as a dtype here comes to its elements."""
    dtype = dtype_of_array(array)
    plain = array.astype(np.float32) if dtype is dtypes.bfloat16 else array
    stored = np.ascontiguousarray(to_storage(plain, dtype)).reshape(array.shape)
    return wrap(upload(stored, dtype, device))
