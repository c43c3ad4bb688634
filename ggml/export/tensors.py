"""Tensors and dtypes of torch as ggml's, and back."""

from __future__ import annotations

from collections.abc import Hashable
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


def place_of(value: Any) -> Hashable:
    """The same for tensors of torch that are the same elements of the same memory. Only for those that have some."""
    return value.data_ptr(), tuple(value.shape), value.stride(), value.dtype


def copied(value: Any) -> Tensor:
    """A tensor of torch in memory of its own; of a complex one its pairs, [..., 2]."""
    import torch

    if value.dtype.is_complex:
        value = torch.view_as_real(value.detach().resolve_conj())
    return from_dlpack(_plain(value, dtype_of(value.dtype)).contiguous(), copy=True)


def from_torch(value: Any, dtype: DType) -> Tensor:
    """A tensor of torch as one of ``dtype``, over its memory where it lies in row-major order on the CPU."""
    return from_dlpack(_plain(value, dtype))


def _plain(value: Any, dtype: DType) -> Any:
    import torch

    plain = value.detach().cpu()
    return plain.to(getattr(torch, dtype.name))  # the tensor itself where it is of that dtype


def to_ggml(value: Any) -> Any:
    """A result of torch's as a tensor over its memory; what is no tensor stays what it is."""
    return from_torch(value, dtype_of(value.dtype)) if hasattr(value, "__dlpack__") else value


def to_torch(value: Any, like: Any) -> Any:
    """A tensor as one of torch over its memory, of the dtype that ``like`` has. Several at once, too."""
    import torch

    if isinstance(value, (tuple, list)):
        return type(value)([to_torch(one, other) for one, other in zip(value, like, strict=True)])
    if not isinstance(value, Tensor):
        return value
    return torch.from_dlpack(value.cpu()).to(like.dtype)


def is_parameter(value: Any) -> bool:
    """Whether it is a parameter of a module, which lies where it lies for long."""
    import torch

    return isinstance(value, torch.nn.Parameter)


def no_grad() -> Any:
    """What torch runs between parts has no gradients either."""
    import torch

    return torch.no_grad()
