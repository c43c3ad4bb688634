"""What ``Module.to`` does to each tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ggml.core.devices import Device, device
from ggml.core.dtypes import DType
from ggml.core.errors import DTypeError
from ggml.tensors.tensor import Tensor


def converter(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[Tensor], Tensor]:
    """Moves a tensor to the device that is named, and a floating one to the dtype."""
    place, dtype = _targets(args, dict(kwargs))
    if dtype is not None and not dtype.is_floating_point:
        raise DTypeError("Module.to", "a floating dtype", dtype)

    def convert(tensor: Tensor) -> Tensor:
        moved = tensor if place is None else tensor.to_device(place)
        return moved.to(dtype) if dtype is not None and tensor.is_floating_point() else moved

    return convert


def _targets(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Device | None, DType | None]:
    for name in ("non_blocking", "memory_format"):
        kwargs.pop(name, None)
    named = [kwargs.pop(name, None) for name in ("device", "dtype", "tensor")]
    if kwargs:
        raise DTypeError("Module.to", "device=, dtype=, tensor= or non_blocking=", ", ".join(kwargs))
    place: Device | None = None
    dtype: DType | None = None
    for wanted in (*args, *named):
        if isinstance(wanted, DType):
            dtype = wanted
        elif isinstance(wanted, (str, Device)):
            place = device(wanted)
        elif isinstance(wanted, Tensor):
            place, dtype = wanted.device, wanted.dtype
        elif wanted is not None and not isinstance(wanted, bool):
            raise DTypeError("Module.to", "a dtype, a device or a tensor", type(wanted).__name__)
    return place, dtype


def cuda_device(spec: int | str | Device | None) -> Device:
    """The GPU that ``Module.cuda`` names."""
    if isinstance(spec, int):
        return device("cuda", spec)
    return device("cuda" if spec is None else spec)
