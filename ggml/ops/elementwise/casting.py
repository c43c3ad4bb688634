"""Conversion between dtypes and devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ggml.core import dtypes
from ggml.core.devices import Device, find_device
from ggml.core.dtypes import PLAIN, DType
from ggml.core.errors import DTypeError, UnsupportedOpError
from ggml.core.memory_format import MemoryFormat, checked
from ggml.core.node import Node
from ggml.graph.builder import Builder
from ggml.graph.value import Value
from ggml.registry.arguments import as_dtype, convert, tensor
from ggml.registry.table import make, op
from ggml.tensors import sharing, transfer
from ggml.tensors.tensor import Tensor, wrap


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

    ``dtype=``, ``device=``, ``copy=``, ``non_blocking=`` and ``memory_format=`` (no effect) work as in PyTorch.
    """
    if not isinstance(input, Tensor):
        raise DTypeError("to", "a tensor as input", type(input).__name__)
    dtype, device, copy = _targets(input, args, kwargs)
    moved = input.to_device(device)
    if dtype.is_quantized and moved.dtype is not dtype:
        raise DTypeError("to", "a dtype that is not quantised; ggml.quantization.quantize makes those", dtype)
    result = convert(moved, dtype)
    return convert_copy(result) if copy and result is input else result


def convert_copy(input: Tensor) -> Tensor:
    """The same values, which stay as they are when somebody writes into the memory of ``input``."""
    node = input._node
    if not node.dtype.is_quantized:
        return make("copied", (input,), (), node.shape, node.dtype)
    # Blocks are never computed, only made; nobody writes into those that lie in memory of our own.
    return wrap(transfer.move(node, input.buffer(), node.device)) if node.is_shared else input.detach()


def _lower_copied(b: Builder, values: Sequence[Value], params: tuple[Any, ...], node: Node) -> Value:
    return values[0]


@op(runs="ggml", sample="internal", lower=_lower_copied, dtypes=PLAIN, methods=(), widens=False)
def copied(input: Tensor) -> Tensor:
    """The same values in memory of their own, once that is needed."""
    return convert_copy(input)


def _targets(input: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[DType, Device, bool]:
    """The dtype and the device that are asked for, and whether another handle is."""
    dtype, device = input.dtype, input.device
    unknown = kwargs.keys() - {"dtype", "device", "tensor", "copy", "non_blocking", "memory_format"}
    if unknown:
        raise DTypeError("to", "dtype=, device=, copy=, non_blocking= or memory_format=", ", ".join(unknown))
    checked("to", kwargs.get("memory_format"), input._node.shape)
    flags = [wanted for wanted in args if isinstance(wanted, bool)]
    copy = kwargs.get("copy", flags[1] if len(flags) > 1 else False)
    for wanted in (*args, *[kwargs.get(key) for key in ("dtype", "device", "tensor")]):
        if isinstance(wanted, (str, Device)):
            device = wanted if isinstance(wanted, Device) else find_device(wanted)
        elif isinstance(wanted, Tensor):
            dtype, device = wanted.dtype, wanted.device
        elif isinstance(wanted, MemoryFormat):
            checked("to", wanted, input._node.shape)
        elif wanted is not None and not isinstance(wanted, bool):
            dtype = as_dtype("to", wanted)
    return dtype, device, bool(copy)


def _row(name: str, dtype: DType) -> Any:
    def cast(input: Tensor, *, memory_format: Any = None) -> Tensor:
        return to(input, dtype, memory_format=memory_format)

    cast.__name__ = cast.__qualname__ = name
    cast.__doc__ = f"The tensor as {dtype.name}."
    return op(runs="composed", sample="unary_any", dtypes=PLAIN, torch=f"Tensor.{name}")(cast)


float_ = _row("float", dtypes.float32)
half = _row("half", dtypes.float16)
bfloat16 = _row("bfloat16", dtypes.bfloat16)
int_ = _row("int", dtypes.int32)
long = _row("long", dtypes.int64)
bool_ = _row("bool", dtypes.bool_)


def _absent(name: str, dtype: str) -> Callable[..., Tensor]:
    def cast(input: Tensor, memory_format: Any = None) -> Tensor:
        raise UnsupportedOpError(name, "ggml", dtypes.instead_of(dtype))

    cast.__name__ = cast.__qualname__ = name
    return cast


# What PyTorch's tensors are cast with and these cannot: no rows, and in no stub, so that a type checker says so, too.
for _name, _dtype in {
    "double": "float64", "byte": "uint8", "char": "int8", "short": "int16", "cfloat": "complex64",
    "cdouble": "complex128", "chalf": "complex32",
}.items():  # fmt: skip
    setattr(Tensor, _name, _absent(_name, _dtype))


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
    return input if not input._node.sharing or sharing.is_dense_view(input._node) else convert_copy(input)
