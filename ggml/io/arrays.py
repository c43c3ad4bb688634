"""Bytes of files of other libraries as tensors: dtypes that ggml lacks become wider ones, where nothing is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core import dtypes
from ggml.core.devices import CPU
from ggml.core.dtypes import DType
from ggml.tensors.tensor import Tensor, wrap
from ggml.tensors.transfer import upload

#: The dtypes of others by PyTorch's name: how their elements lie in a file, and what they become.
ELEMENTS: dict[str, tuple[np.dtype[Any], DType]] = {
    "float32": (np.dtype("<f4"), dtypes.float32),
    "float16": (np.dtype("<f2"), dtypes.float16),
    "bfloat16": (np.dtype("<u2"), dtypes.bfloat16),
    "int64": (np.dtype("<i8"), dtypes.int64),
    "int32": (np.dtype("<i4"), dtypes.int32),
    "int16": (np.dtype("<i2"), dtypes.int32),
    "int8": (np.dtype("i1"), dtypes.int32),
    "uint8": (np.dtype("u1"), dtypes.int32),
    "uint16": (np.dtype("<u2"), dtypes.int32),
    "uint32": (np.dtype("<u4"), dtypes.int64),
    "bool": (np.dtype("u1"), dtypes.bool_),
}


def as_tensor(array: NDArray[Any], dtype: DType) -> Tensor:
    """A tensor with a copy of the elements."""
    if dtype is dtypes.bool_:
        array = (array != 0).astype(np.float32)
    elif dtype is not dtypes.bfloat16:
        array = array.astype(dtype.numpy)
    return wrap(upload(array, dtype, CPU))
