"""Where tensors lie: PyTorch's device names over ggml's."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import worker_native
from ggml.core.errors import ArgumentError, ForkedProcessError, OutOfMemoryError
from ggml.core.forking import num_forks
from ggml.core.memory import own
from worker_native import Buffer

# Asking the device for its memory takes longer than a small tensor: only sizes that could matter are checked.
_CHECKED_BYTES = 64 << 20

# ggml's names of backends that PyTorch knows under another name.
_BACKENDS = {
    "CPU": "cpu",
    "CUDA": "cuda",
    "ROCm": "cuda",
    "Metal": "mps",
    "MTL": "mps",
    "Vulkan": "vulkan",
    "SYCL": "xpu",
}

# After how many forks a device was used first, by ggml's name.
_opened: dict[str, int] = {}

# DLPack's device types.
_DLPACK = {"cpu": 1, "cuda": 2, "vulkan": 7, "mps": 8, "xpu": 14}
_ROCM = 10  # "cuda" in PyTorch's names


@dataclass(frozen=True, slots=True)
class Device:
    """A device, spelled as in PyTorch: ``type`` and ``index``. ``native`` is ggml's name for it."""

    type: str
    index: int | None
    native: str

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device(type={self.type!r}" + ("" if self.index is None else f", index={self.index}") + ")"

    @property
    def is_cpu(self) -> bool:
        return self.type == "cpu"

    @property
    def dlpack(self) -> tuple[int, int]:
        """DLPack's (device type, device id); BufferError for memory of which DLPack knows no kind."""
        kind = _ROCM if self.native.startswith("ROCm") else _DLPACK.get(self.type)
        if kind is None:
            raise BufferError(f"__dlpack__: DLPack has no {self.type} devices; move the tensor with .cpu()")
        return kind, self.index or 0

    @property
    def memory_bytes(self) -> tuple[int, int]:
        """(free, total) memory, as the backend reports it now."""
        found = _native_devices()[self.native]
        return found.memory_free_bytes, found.memory_total_bytes


def native_device(found: Device) -> worker_native.Device:
    """ggml's own view of a device."""
    return _native_devices()[found.native]


def look_again() -> None:
    """See the devices that were registered meanwhile."""
    _native_devices.cache_clear()
    devices.cache_clear()


@functools.cache
def _native_devices() -> dict[str, worker_native.Device]:
    return {found.name: found for found in worker_native.devices() if found.kind != "accel"}


@functools.cache
def devices() -> tuple[Device, ...]:
    """Every device that can hold tensors, the CPU included."""
    return tuple(_spelled(name) for name in _native_devices())


def _spelled(native: str) -> Device:
    match = re.fullmatch(r"(.*?)(\d*)", native)
    backend, number = match.groups() if match else (native, "")
    kind = _BACKENDS.get(backend, backend.lower())
    return Device(kind, None if kind == "cpu" else int(number or 0), native)


@functools.cache
def find_device(spec: str) -> Device:
    """The device that ``cpu``, ``cuda``, ``cuda:1`` ... names (or ggml's own name), or ArgumentError."""
    for found in devices():
        if spec in (str(found), found.native) or (found.index == 0 and spec == found.type):
            return found
    known = ", ".join(str(found) for found in devices())
    raise ArgumentError("device", repr(spec), f"is not here; this process has {known}")


def device(type: str | Device, index: int | None = None) -> Device:
    """As ``torch.device``: ``device("cuda", 1)`` or ``device("cuda:1")``."""
    if isinstance(type, Device):
        return type
    if not isinstance(type, str):
        raise ArgumentError("device", repr(type), "is neither a name nor a device")
    return find_device(type if index is None else f"{type}:{index}")


def cuda_device(spec: Any) -> Device:
    """The CUDA device that a number, a name or a device names, the first if None; ArgumentError for other kinds."""
    if isinstance(spec, Device):
        spec = str(spec)
    name = spec if isinstance(spec, str) else "cuda" if spec is None else f"cuda:{spec}"
    if name.partition(":")[0] != "cuda":
        raise ArgumentError("cuda", "device", f"{spec!r} is no CUDA device")
    return find_device(name)


def require_memory(on: Device, num_bytes: int) -> None:
    """OutOfMemoryError for what cannot be there. The host's own arrays are asked for before they are made."""
    if num_bytes >= _CHECKED_BYTES:
        free_bytes, total_bytes = on.memory_bytes
        if num_bytes > total_bytes:
            raise OutOfMemoryError(num_bytes, free_bytes, str(on))


def refuse_elsewhere(on: Device, op: str) -> None:
    """ForkedProcessError for a device other than the CPU that was used before this process was forked."""
    if not on.is_cpu and _opened.setdefault(on.native, num_forks()) != num_forks():
        why = "it belongs to the process that this one was forked from; start processes with spawn, or use the CPU"
        raise ForkedProcessError(op, str(on), why)


def allocate(on: Device, num_bytes: int) -> Buffer:
    """Uninitialised memory, or OutOfMemoryError."""
    refuse_elsewhere(on, "allocate")
    require_memory(on, num_bytes)
    try:
        return own(Buffer(on.native, num_bytes))
    except (MemoryError, ValueError, OverflowError, TypeError):
        raise OutOfMemoryError(num_bytes, on.memory_bytes[0], str(on)) from None


CPU = find_device("cpu")

_unplaced: ContextVar[Device] = ContextVar("unplaced", default=CPU)


def unplaced() -> Device:
    """Where a new tensor lies of which nobody says where."""
    return _unplaced.get()


@contextmanager
def placing(on: Device) -> Iterator[None]:
    """Until the end of the block new tensors lie there, unless somebody says where."""
    token = _unplaced.set(on)
    try:
        yield
    finally:
        _unplaced.reset(token)
