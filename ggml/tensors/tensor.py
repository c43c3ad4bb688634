"""The tensor: a handle on a node, with PyTorch's names. Arithmetic comes from the table (``ggml.registry.table``)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ggml.core import tracing
from ggml.core.devices import CPU, Device, allocate, cuda_device, find_device, refuse_elsewhere, require_memory
from ggml.core.dtypes import Category, DType
from ggml.core.errors import ArgumentError, ClosedTensorError, DTypeError, ShapeMismatchError
from ggml.core.memory_format import Layout, MemoryFormat, contiguous_format, is_contiguous, strided
from ggml.core.node import Node, Shape, leaf
from ggml.graph import executor
from ggml.tensors import history, sharing, transfer
from ggml.tensors.differentiable import Differentiable
from ggml.tensors.history import History
from ggml.tensors.size import Size
from worker_native import Buffer

if TYPE_CHECKING:
    from ggml._tensor_methods import TensorMethods
else:
    TensorMethods = object

# A longer chain of pending operations is computed before it grows further.
_MAX_DEPTH = 4096


class Tensor(Differentiable, TensorMethods):
    """A multi-dimensional array on one device. Lazy: operations are recorded, and computed together on demand.

    A tensor never changes, except that an in-place method makes this handle mean another value.
    """

    __slots__ = ("__weakref__", "_history", "_node")
    __array_ufunc__ = None  # numpy leaves mixed arithmetic to us
    __hash__ = object.__hash__

    _node: Node
    _history: History | None  # None until the tape meets the tensor

    def __init__(self) -> None:
        raise ArgumentError("Tensor", "()", "makes no tensor; call ggml.tensor, ggml.zeros, ...")

    # What it is

    @property
    def shape(self) -> Size:
        return Size(self._node.shape)

    @property
    def dtype(self) -> DType:
        return self._node.dtype

    @property
    def device(self) -> Device:
        return self._node.device

    @property
    def ndim(self) -> int:
        return len(self._node.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements outside: those of a bool are 1 each."""
        node = self._node
        return node.dtype.num_bytes(node.numel) if node.dtype.is_quantized else node.numel * node.dtype.itemsize

    @property
    def itemsize(self) -> int:
        return self._node.dtype.itemsize

    @property
    def layout(self) -> Layout:
        return strided

    @property
    def is_quantized(self) -> bool:
        return self._node.dtype.is_quantized

    @property
    def is_cuda(self) -> bool:
        return self._node.device.type == "cuda"

    def dim(self) -> int:
        return len(self._node.shape)

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[transfer.axis("size", dim, self.ndim)]

    def numel(self) -> int:
        return self._node.numel

    nelement = numel

    def element_size(self) -> int:
        return self._node.dtype.itemsize

    def is_floating_point(self) -> bool:
        return self._node.dtype.is_floating_point

    def is_complex(self) -> bool:
        return False

    def is_contiguous(self, memory_format: MemoryFormat = contiguous_format) -> bool:
        """Whether row-major order, in which the elements of every tensor lie, is the order of this format."""
        return is_contiguous(self._node.shape, memory_format)

    def stride(self, dim: int | None = None) -> Any:
        """Strides of the row-major order, in elements."""
        strides = transfer.row_major(self._node.shape)
        return strides if dim is None else strides[transfer.axis("stride", dim, self.ndim)]

    # Its values

    def buffer(self) -> Buffer:
        """The memory of the elements, computed if need be."""
        buffer = self._node.buffer
        if buffer is None:
            buffer = executor.memory(self._node)
        refuse_elsewhere(self._node.device, "buffer")
        if buffer.is_closed:
            raise ClosedTensorError("buffer")
        return buffer

    def data_ptr(self) -> int:
        """The address of the first element, on its device. Whoever has it may write there at any time."""
        address = self.buffer().data_ptr
        sharing.lend(self._node)
        return address

    def raw_bytes(self) -> bytes:
        """The elements as they are stored, blocks of a quantised type included. A bool takes 4 bytes."""
        raw = np.empty(self.buffer().num_bytes, np.uint8)
        self.buffer().read(raw)
        return raw[: self._node.dtype.num_bytes(self._node.numel)].tobytes()

    def numpy(self) -> NDArray[Any]:
        """The elements; on the CPU the array shares their memory, save for bool.

        What is written into the array is seen by this tensor and by what is made of it from then on. The array is
        read-only where the memory is.
        """
        array = transfer.to_numpy(self._node, self.buffer())
        sharing.show(self._node)
        return array

    def tolist(self) -> Any:
        return transfer.values(self._node, self.buffer()).tolist()

    def item(self) -> Any:
        """The only element, as a Python number."""
        if self._node.numel != 1:
            raise ShapeMismatchError("item", "one element", tuple(self.shape))
        return transfer.values(self._node, self.buffer()).reshape(-1)[0].item()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        array = self.numpy()
        if dtype is None or array.dtype == dtype:
            return array.copy() if copy else array
        if copy is False:
            raise ArgumentError("__array__", "copy=False", f"cannot turn {self.dtype} into {dtype}")
        return array.astype(dtype)

    def __bool__(self) -> bool:
        if self._node.numel != 1:
            raise ShapeMismatchError("bool", "one element", tuple(self.shape))
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self._node.dtype.is_floating_point or self._node.numel != 1:
            raise DTypeError("index", "an integer tensor of one element", f"{self.dtype} {tuple(self.shape)}")
        return int(self.item())

    def __len__(self) -> int:
        if not self._node.shape:
            raise ShapeMismatchError("len", "at least one axis", ())
        return self._node.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self._node.shape:
            raise ShapeMismatchError("iter", "at least one axis", ())
        return iter([self[i] for i in range(self._node.shape[0])])

    def __repr__(self) -> str:
        if self._node.op is not None and tracing.is_active():
            return f"tensor(..., shape={tuple(self.shape)}, dtype={self.dtype})"
        return transfer.text(self._node, self.buffer())

    def __reduce__(self) -> Any:
        node = self._node
        return restore, (self.raw_bytes(), node.shape, node.dtype, str(node.device))

    # Where it is

    def to_device(self, device: Device) -> Tensor:
        """The same values on another device; itself if they are there."""
        if not isinstance(device, Device):
            raise DTypeError("to_device", "a ggml device", device)
        if device == self._node.device:
            return self
        moved = wrap(transfer.move(self._node, self.buffer(), device))
        if history.is_needed((self,)):
            history.record("to_device", (self,), (), (moved,))
        return moved

    def cpu(self) -> Tensor:
        return self.to_device(CPU)

    def cuda(self, device: int | str | None = None) -> Tensor:
        """On a CUDA device: the first, a number, or a name; ArgumentError if this process has no such device."""
        return self.to_device(cuda_device(device))

    def pin_memory(self, device: Device | str | None = None) -> Tensor:
        """A copy in memory of the CPU that ``device`` reads fast; itself where no device has memory of that kind.

        ``device`` is the first such device if it is left out. PyTorch refuses where there is none.
        """
        return wrap(transfer.pin(self._node, self.buffer(), device))

    def is_pinned(self) -> bool:
        """Whether the elements lie in memory of the CPU that a device reads fast."""
        return self._node.device.is_cpu and transfer.is_pinned(self.buffer())

    def detach(self) -> Tensor:
        """The same values without their history."""
        return wrap(self._node)

    def detach_(self) -> Tensor:
        """Let go of the history of this handle."""
        self._history = None
        return self

    def _alias(self) -> Tensor:
        """Another handle on the same values, with a history that leads to this one."""
        alias = wrap(self._node)
        if history.is_needed((self,)):
            history.record("alias", (self,), (), (alias,))
        return alias

    # Exchange

    def __dlpack__(self, **wishes: Any) -> Any:
        capsule = transfer.dlpack(self._node, self.buffer(), **wishes)
        sharing.show(self._node)
        return capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._node.device.dlpack

    def _assign(self, result: Tensor, op: str, reshapes: bool = False) -> Tensor:
        """Make this handle mean ``result``, converted to this handle's dtype as PyTorch would."""
        if not isinstance(result, Tensor):
            raise DTypeError(op, "a tensor as result", type(result).__name__)
        node, new = self._node, result._node
        if new.shape != node.shape and not reshapes:
            raise ShapeMismatchError(op, f"a result of shape {node.shape}", new.shape)
        if new.dtype.category > max(node.dtype.category, Category.BOOL):
            raise DTypeError(op, f"a result that {node.dtype} can hold", new.dtype)
        if node.is_captured:
            tracing.note_change()
        changes = tracing.changes()
        if changes is not None:
            changes.note(self)
        if new.dtype is not node.dtype:
            result = result.to(node.dtype)
        if self._history is not None or result._history is not None:
            self._become(result, op)
        self._node = result._node
        return self


def wrap(node: Node) -> Tensor:
    """A tensor over a node."""
    tensor = object.__new__(Tensor)
    tensor._node, tensor._history = node, None
    if node.depth > _MAX_DEPTH and not tracing.is_active():
        executor.compute([node])
    return tensor


def filled(shape: Shape, value: float, dtype: DType, device: Device) -> Tensor:
    """Every element ``value``."""
    require_memory(CPU, math.prod(shape) * dtype.block_bytes)
    array = transfer.to_storage(np.array(value), dtype)
    return wrap(transfer.upload(np.full(shape, array), dtype, device))


def restore(raw: bytes, shape: Shape, dtype: DType, device: str) -> Tensor:
    """A tensor from its pickle."""
    on = find_device(device)
    buffer = allocate(on, len(raw))
    buffer.write(np.frombuffer(raw, np.uint8))
    return wrap(leaf(shape, dtype, on, buffer))
