"""What is asked about tensors, shapes and dtypes, without computing anything (save ``is_nonzero``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ggml.core import dtypes
from ggml.core.devices import Device
from ggml.core.dtypes import DType
from ggml.core.errors import DTypeError, ShapeMismatchError
from ggml.registry import arguments
from ggml.registry.arguments import Number, as_dtype, number, several, sizes
from ggml.tensors.size import Size
from ggml.tensors.tensor import Tensor

__all__ = [
    "broadcast_shapes",
    "can_cast",
    "finfo",
    "get_default_dtype",
    "iinfo",
    "is_complex",
    "is_floating_point",
    "is_nonzero",
    "is_tensor",
    "numel",
    "result_type",
]


def is_tensor(obj: Any) -> bool:
    """Whether it is a tensor of ggml."""
    return isinstance(obj, Tensor)


def _tensor(name: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise DTypeError(name, "a tensor as input", type(value).__name__)
    return value


def numel(input: Tensor) -> int:
    """The number of elements."""
    return _tensor("numel", input).numel()


def is_floating_point(input: Tensor) -> bool:
    """Whether the elements are floats."""
    return _tensor("is_floating_point", input).is_floating_point()


def is_complex(input: Tensor) -> bool:
    """Whether it is marked as complex (see ``view_as_complex``)."""
    return _tensor("is_complex", input).is_complex()


def is_nonzero(input: Tensor) -> bool:
    """Whether the only element differs from 0. Reads it."""
    return bool(_tensor("is_nonzero", input))


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that all of these broadcast to; a number is a shape of one axis."""
    for one in shapes:
        if not isinstance(one, (int, tuple, list)):
            raise DTypeError("broadcast_shapes", "shapes", type(one).__name__)
    known = [sizes("broadcast_shapes", (one,)) for one in shapes]
    return Size(arguments.broadcast("broadcast_shapes", *known)) if known else Size()


def result_type(tensor1: Tensor | Number, tensor2: Tensor | Number) -> DType:
    """The dtype of ``tensor1 + tensor2``."""
    known = [one if isinstance(one, Tensor) else number("result_type", one, "operand") for one in (tensor1, tensor2)]
    return arguments.result_type(*known)


def can_cast(from_: DType, to: DType) -> bool:
    """Whether a conversion stays within the categories: bool to integer to float."""
    return as_dtype("can_cast", from_).category <= as_dtype("can_cast", to).category


def get_default_dtype() -> DType:
    """float32, always."""
    return dtypes.float32


@dataclass(frozen=True, slots=True)
class finfo:
    """The limits of a floating dtype: ``bits``, ``eps``, ``max``, ``min``, ``tiny``, ``smallest_normal``."""

    dtype: DType = dtypes.float32

    def __post_init__(self) -> None:
        if not as_dtype("finfo", self.dtype).is_floating_point:
            raise DTypeError("finfo", "a floating dtype", self.dtype)

    @property
    def _digits(self) -> tuple[int, int]:
        """Bits of the fraction, and the largest exponent."""
        return {"float32": (23, 127), "float16": (10, 15), "bfloat16": (7, 127)}[self.dtype.name]

    @property
    def bits(self) -> int:
        return self.dtype.itemsize * 8

    @property
    def eps(self) -> float:
        return float(2.0 ** -self._digits[0])

    @property
    def max(self) -> float:
        return (2 - self.eps) * float(2.0 ** self._digits[1])

    @property
    def min(self) -> float:
        return -self.max

    @property
    def smallest_normal(self) -> float:
        return float(2.0 ** (1 - self._digits[1]))

    @property
    def tiny(self) -> float:
        return self.smallest_normal

    @property
    def resolution(self) -> float:
        return {"float32": 1e-6, "float16": 1e-3, "bfloat16": 1e-2}[self.dtype.name]


@dataclass(frozen=True, slots=True)
class iinfo:
    """The limits of an integer dtype: ``bits``, ``max``, ``min``."""

    dtype: DType

    def __post_init__(self) -> None:
        if not as_dtype("iinfo", self.dtype).is_integer:
            raise DTypeError("iinfo", "an integer dtype", self.dtype)

    @property
    def bits(self) -> int:
        return self.dtype.itemsize * 8

    @property
    def max(self) -> int:
        return (1 << (self.bits - 1)) - 1

    @property
    def min(self) -> int:
        return -(1 << (self.bits - 1))


# Methods


def ndimension(self: Tensor) -> int:
    """The number of axes."""
    return self.ndim


def get_device(self: Tensor) -> int:
    """The number of the device, -1 for the CPU."""
    return -1 if self.device.is_cpu else self.device.index or 0


def is_signed(self: Tensor) -> bool:
    """Whether there are negative elements of this dtype."""
    return self.dtype is not dtypes.bool_


def storage_offset(self: Tensor) -> int:
    """0: the elements of every tensor begin where its memory does."""
    return 0


def sum_to_size(self: Tensor, *extents: Any, size: Any = None) -> Tensor:
    """Summed over the axes in which ``size`` broadcasts to this shape."""
    shape, wanted = tuple(self.shape), sizes("sum_to_size", several("sum_to_size", "size", extents, size))
    new = len(shape) - len(wanted)
    if new < 0 or arguments.broadcast("sum_to_size", shape, wanted) != shape:
        raise ShapeMismatchError("sum_to_size", f"a size that broadcasts to {shape}", wanted)
    if not wanted:
        return self.sum()
    dims = [at for at, extent in enumerate(shape) if at < new or (wanted[at - new] == 1 and extent != 1)]
    summed = self.sum(dims, True) if dims else self
    return summed.reshape(wanted)


def as_type(self: Tensor, dtype: DType | str | None = None, non_blocking: bool = False) -> Any:
    """The tensor as ``dtype``, or as the type of that name (``"torch.LongTensor"``); without one, its type's name."""
    if dtype is None:
        place = "cuda." if self.is_cuda else ""
        return f"ggml.{place}{_TYPE_NAMES.get(self.dtype.name, self.dtype.name)}Tensor"
    if isinstance(dtype, str):
        name = dtype.rpartition(".")[2].removesuffix("Tensor")
        known = [dtypes.ALL[key] for key, value in _TYPE_NAMES.items() if value == name]
        return self.to(known[0] if known else as_dtype("type", name.lower()))
    return self.to(as_dtype("type", dtype))


def detach_(self: Tensor) -> Tensor:
    """The tensor itself: nothing is differentiated here."""
    return self


def share_memory_(self: Tensor) -> Tensor:
    """The tensor itself: memory is not shared between processes."""
    return self


_TYPE_NAMES = {
    "float32": "Float", "float16": "Half", "bfloat16": "BFloat16", "int32": "Int", "int64": "Long", "bool": "Bool",
}  # fmt: skip


METHODS: dict[str, Callable[..., Any]] = {
    one.__name__: one
    for one in (ndimension, get_device, is_signed, storage_offset, sum_to_size, detach_, share_memory_)
} | {"type": as_type, "is_nonzero": is_nonzero}

for _name, _method in METHODS.items():
    setattr(Tensor, _name, _method)


def _is_cpu(self: Tensor) -> bool:
    device: Device = self.device
    return device.is_cpu


setattr(Tensor, "is_cpu", property(_is_cpu))  # noqa: B010


def _hermitian(self: Tensor) -> Tensor:
    if self.ndim not in (0, 2):
        raise ShapeMismatchError("H", "a matrix", tuple(self.shape))
    return self.T


setattr(Tensor, "H", property(_hermitian))  # noqa: B010
setattr(Tensor, "mH", property(lambda self: self.mT))  # noqa: B010
setattr(Tensor, "adjoint", lambda self: self.mT)  # noqa: B010
