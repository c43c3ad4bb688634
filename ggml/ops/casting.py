"""Conversion between dtypes and devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ggml import dtypes
from ggml.devices import Device, find_device
from ggml.dtypes import PLAIN, DType
from ggml.errors import DTypeError
from ggml.lowering.builder import Builder
from ggml.lowering.value import Value
from ggml.memory_format import checked
from ggml.node import Node
from ggml.ops.arguments import convert, tensor
from ggml.table import op
from ggml.tensor import Tensor


def _lower_to(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    return b.to_dtype(values[0], node.dtype)


@op(
    runs="mixed",
    sample="cast",
    lower=_lower_to,
    dtypes=PLAIN,
    torch="Tensor.to",
    widens=False,
    differs="Numbers outside the range of an integer dtype become its smallest value; PyTorch leaves it open. "
    "A quantised tensor becomes float32 on the way.",
)
def to(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The tensor with another dtype, on another device, or both: ``to(dtype)``, ``to(device)``, ``to(other)``.

    ``dtype=``, ``device=``, ``copy=`` and ``non_blocking=`` (no effect) work as in PyTorch.
    """
    if not isinstance(input, Tensor):
        raise DTypeError("to", "a tensor as input", type(input).__name__)
    dtype, device, copy = _targets(input, args, kwargs)
    moved = input.to_device(device)
    if dtype.is_quantized and moved.dtype is not dtype:
        raise DTypeError("to", "a dtype that is not quantised; ggml.from_buffer takes its bytes", dtype)
    result = convert(moved, dtype)
    return convert_copy(result) if copy and result is input else result


def convert_copy(input: Tensor) -> Tensor:
    """The same values under another handle. Values never change, so the memory may be shared."""
    return input.detach()


def _targets(input: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[DType, Device, bool]:
    dtype, device = input.dtype, input.device
    flags = {"copy": bool(kwargs.pop("copy", False)), "non_blocking": kwargs.pop("non_blocking", False)}
    checked("to", kwargs.pop("memory_format", None), input._node.shape)
    for key in ("dtype", "device"):
        if kwargs.get(key) is not None:
            args = (*args, kwargs.pop(key))
        kwargs.pop(key, None)
    if kwargs:
        raise DTypeError("to", "dtype=, device=, copy= or non_blocking=", ", ".join(kwargs))
    for wanted in args:
        if isinstance(wanted, DType):
            dtype = wanted
        elif isinstance(wanted, (str, Device)):
            device = wanted if isinstance(wanted, Device) else find_device(wanted)
        elif isinstance(wanted, Tensor):
            dtype, device = wanted.dtype, wanted.device
        elif not isinstance(wanted, bool):
            raise DTypeError("to", "a dtype, a device or a tensor", type(wanted).__name__)
    return dtype, device, flags["copy"]


def _row(name: str, dtype: DType) -> Any:
    def cast(input: Tensor) -> Tensor:
        return to(input, dtype)

    cast.__name__ = cast.__qualname__ = name
    cast.__doc__ = f"The tensor as {dtype.name}."
    return op(runs="composed", sample="unary_any", dtypes=PLAIN, torch=f"Tensor.{name}")(cast)


float_ = _row("float", dtypes.float32)
half = _row("half", dtypes.float16)
bfloat16 = _row("bfloat16", dtypes.bfloat16)
int_ = _row("int", dtypes.int32)
long = _row("long", dtypes.int64)
bool_ = _row("bool", dtypes.bool_)


@op(runs="composed", sample="pair_any", dtypes=PLAIN, torch="Tensor.type_as")
def type_as(input: Tensor, other: Tensor) -> Tensor:
    """The tensor with the dtype of ``other``."""
    return to(tensor("type_as", input), tensor("type_as", other, "other").dtype)


@op(runs="composed", sample="unary_any", dtypes=PLAIN)
def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A tensor with the same values. In-place methods of one do not change the other."""
    x = tensor("clone", input)
    checked("clone", memory_format, x._node.shape)
    return convert_copy(x)


@op(
    runs="composed",
    sample="unary_any",
    dtypes=PLAIN,
    torch="Tensor.contiguous",
    differs="A memory format is accepted and changes nothing: elements lie in row-major order, and "
    "``is_contiguous(memory_format=ggml.channels_last)`` goes on telling so.",
)
def contiguous(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """The tensor itself: its elements always come out in row-major order."""
    if not isinstance(input, Tensor):
        raise DTypeError("contiguous", "a tensor as input", type(input).__name__)
    checked("contiguous", memory_format, input._node.shape)
    return input
