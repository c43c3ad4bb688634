"""What PyTorch's callers may say about a new tensor, beside its dtype and device.

What is harmless is accepted as PyTorch does; what cannot be honoured is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, cast

from ggml.core.devices import Device, device, unplaced
from ggml.core.dtypes import DType, float32
from ggml.core.errors import DeviceMismatchError, DTypeError, UnsupportedOpError
from ggml.core.memory_format import Layout, MemoryFormat, checked, strided
from ggml.registry.arguments import as_dtype
from ggml.tensors.tensor import Tensor

__all__ = ["Like", "Options", "Place", "Sized", "Spare", "Wish", "given_to", "wish"]

Place = Device | str | None


class Options(TypedDict, total=False):
    """What every function that makes a tensor takes."""

    layout: Layout | None  # strided
    requires_grad: bool  # whether it is a leaf that ``backward`` computes a gradient for
    pin_memory: bool  # as ``Tensor.pin_memory``


class Like(Options, total=False):
    """What functions take that make a tensor like another one."""

    memory_format: MemoryFormat | None  # without effect


class Spare(Options, total=False):
    """What functions take that can give their result to a tensor that is there."""

    out: Tensor | None  # this handle means the result from then on; its dtype and device are the default


class Sized(Spare, total=False):
    """What functions take whose extents may stand alone: ``zeros(2, 3)`` and ``zeros(size=(2, 3))``."""

    size: Any
    memory_format: MemoryFormat | None


@dataclass(frozen=True, slots=True)
class Wish:
    """The options of one call, checked."""

    name: str
    dtype: DType
    device: Device
    pins: bool
    memory_format: Any
    out: Tensor | None
    requires_grad: bool

    def settle(self, made: Tensor) -> Tensor:
        """The new tensor as it was wished for."""
        checked(self.name, self.memory_format, made._node.shape)
        result = cast(Tensor, given_to(self.name, made.pin_memory() if self.pins else made, self.out))
        return result.requires_grad_() if self.requires_grad else result


def given_to(name: str, result: Any, out: Any) -> Any:
    """What ``out=`` asks for: the handle, or one for each of several results, means the result from then on."""
    if out is None:
        return result
    if isinstance(result, Tensor):
        if not isinstance(out, Tensor):
            raise DTypeError(name, "a tensor as out", type(out).__name__)
        if out.is_complex() is not result.is_complex():
            kinds = ("a plain tensor", "a complex tensor")
            raise DTypeError(name, f"{kinds[result.is_complex()]} as out", kinds[out.is_complex()])
        if out.device != result.device:
            raise DeviceMismatchError(name, (str(result.device), str(out.device)))
        return out._assign(result, name, reshapes=True)
    if not isinstance(result, tuple) or not all(isinstance(one, Tensor) for one in result):
        raise DTypeError(name, "no out: the result is no tensor", type(out).__name__)
    if not isinstance(out, (tuple, list)) or len(out) != len(result):
        raise DTypeError(name, f"{len(result)} tensors as out", type(out).__name__)
    given = [given_to(name, one, handle) for one, handle in zip(result, out, strict=True)]
    return type(result)(*given) if hasattr(result, "_fields") else tuple(given)


def wish(
    name: str,
    options: Mapping[str, Any],
    kind: type,
    dtype: Any = None,
    on: Place = None,
    *,
    like: Tensor | None = None,
    default: DType = float32,
) -> Wish:
    """The options of ``kind`` that a caller of ``name`` gave, with what stands for a dtype and a device left out."""
    known: frozenset[str] = kind.__optional_keys__  # type: ignore[attr-defined]
    unknown = [key for key in options if key not in known]
    if unknown:
        raise DTypeError(name, f"no keywords but dtype, device, {', '.join(sorted(known))}", ", ".join(unknown))
    _refuse(name, options.get("layout"))
    model = out = options.get("out")
    if out is not None and not isinstance(out, Tensor):
        raise DTypeError(name, "a tensor as out", type(out).__name__)
    model = like if out is None else out
    wanted = (default if model is None else model.dtype) if dtype is None else as_dtype(name, dtype)
    place = (unplaced() if model is None else model.device) if on is None else device(on)
    if out is not None and wanted is not out.dtype:
        raise DTypeError(name, f"dtype {out.dtype}, which out has", wanted)
    if out is not None and place != out.device:
        raise DeviceMismatchError(name, (str(place), str(out.device)))
    pins, is_leaf = bool(options.get("pin_memory")), bool(options.get("requires_grad"))
    return Wish(name, wanted, place, pins, options.get("memory_format"), out, is_leaf)


def _refuse(name: str, layout: Any) -> None:
    """Raise for what no tensor here can be."""
    if layout is not None and str(layout).rpartition(".")[2] != strided.name:
        raise UnsupportedOpError(name, "ggml", f"layout {layout}: tensors are dense (ggml.strided)")
