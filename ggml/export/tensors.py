"""Dtypes and weights of torch as ggml's."""

from __future__ import annotations

from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import DType
from ggml.core.errors import DTypeError, UnsupportedOpError
from ggml.ops.create.interop import from_dlpack
from ggml.tensors.tensor import Tensor

# There are no smaller integers and no float64 here; what a model computes in them is computed in these.
_WIDER = {"float64": "float32", "uint8": "int32", "int8": "int32", "int16": "int32"}


def dtype_of(found: Any) -> DType:
    """The dtype for one of torch: float32 for float64, int32 for smaller integers. UnsupportedOpError for others."""
    name = str(found).rpartition(".")[2]
    try:
        return dtypes.dtype_named(_WIDER.get(name, name))
    except DTypeError:
        raise UnsupportedOpError("lower", "ggml", f"there is no dtype for {found}") from None


def copied(value: Any) -> Tensor:
    """A tensor of torch in memory of its own."""
    import torch

    wanted = dtype_of(value.dtype)
    plain = value.detach().cpu()
    if str(value.dtype).rpartition(".")[2] in _WIDER:
        plain = plain.to(getattr(torch, wanted.name))
    return from_dlpack(plain.contiguous(), copy=True)
