"""Tensors that a module owns: parameters, which training may change, and buffers, which it does not."""

from __future__ import annotations

from typing import Any

from ggml.core import dtypes, tracing
from ggml.core.devices import CPU
from ggml.core.dtypes import DType
from ggml.core.errors import DTypeError
from ggml.core.node import Shape, empty_leaf
from ggml.tensors.history import History
from ggml.tensors.tensor import Tensor, restore, wrap

__all__ = ["Buffer", "Parameter", "point_to"]


class _Owned(Tensor):
    """A handle that keeps its identity while its value is replaced: tied weights stay tied."""

    __slots__ = ()

    @property
    def data(self) -> Tensor:
        """Its values without their history; giving it another tensor replaces them, whatever its shape and dtype."""
        values: _Values = object.__new__(_Values)
        values._node, values._history, values._owner = self._node, None, self
        return values

    @data.setter
    def data(self, value: Tensor) -> None:
        _need_tensor(type(self).__name__, value)
        point_to(self, value)

    def _assign(self, result: Tensor, op: str, reshapes: bool = False) -> Tensor:
        tracing.refuse_change(op)  # what other recordings make never gets memory
        return super()._assign(result, op, reshapes)


class _Values(Tensor):
    """``data`` of a parameter: without its history, and what is changed in place is the parameter's value."""

    __slots__ = ("_owner",)

    _owner: Tensor

    def _assign(self, result: Tensor, op: str, reshapes: bool = False) -> Tensor:
        super()._assign(result, op, reshapes)
        point_to(self._owner, self)
        return self


class Parameter(_Owned):
    """A tensor that a module registers when it is assigned as an attribute.

    ``requires_grad`` says whether ``backward`` computes a gradient for it. It is False for quantised data.
    Integers cannot be trained: DTypeError unless ``requires_grad=False``.
    """

    __slots__ = ()

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        self._node = _value("Parameter", data)._node
        kind = self._node.dtype
        if requires_grad and not (kind.is_floating_point or kind.is_quantized):
            raise DTypeError("Parameter", "floating data, or requires_grad=False", kind)
        self._history = History(bool(requires_grad))

    @property
    def requires_grad(self) -> bool:
        history = self._history
        return history is not None and history.requires_grad and self._node.dtype.is_floating_point

    @requires_grad.setter
    def requires_grad(self, requires_grad: bool) -> None:
        self.requires_grad_(requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"

    def __reduce__(self) -> Any:
        return _restore, (self.raw_bytes(), self._node.shape, self._node.dtype, str(self.device), self.requires_grad)


class Buffer(_Owned):
    """A tensor that a module registers as a buffer when it is assigned; ``persistent`` ones are in the state dict."""

    __slots__ = ("persistent",)

    def __init__(self, data: Tensor | None = None, *, persistent: bool = True) -> None:
        self._node, self._history = _value("Buffer", data)._node, None
        self.persistent = bool(persistent)

    def __reduce__(self) -> Any:
        return _restore_buffer, (super().__reduce__()[1], self.persistent)


def point_to(handle: Tensor, value: Tensor) -> None:
    """Make the handle mean ``value``. Compiled functions that hold the old one record anew."""
    if value._node is handle._node:
        return
    if handle._node.is_captured:
        tracing.note_change()
    handle._node = value._node


def _need_tensor(op: str, value: Any) -> None:
    if not isinstance(value, Tensor):
        raise DTypeError(op, "a ggml tensor", type(value).__name__)


def _value(op: str, data: Tensor | None) -> Tensor:
    """``data``, or nothing: a tensor without elements."""
    if data is None:
        return wrap(empty_leaf((0,), dtypes.float32, CPU))
    _need_tensor(op, data)
    return data


def _restore(raw: bytes, shape: Shape, dtype: DType, device: str, requires_grad: bool) -> Parameter:
    """A parameter from its pickle."""
    return Parameter(restore(raw, shape, dtype, device), requires_grad)


def _restore_buffer(parts: tuple[Any, ...], persistent: bool) -> Buffer:
    """A buffer from its pickle."""
    return Buffer(restore(*parts), persistent=persistent)
