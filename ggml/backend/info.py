"""What a device says about itself."""

from __future__ import annotations

import gc
from dataclasses import dataclass

from ggml.core.devices import Device, device, devices, native_device
from ggml.core.node import Node
from ggml.graph.cache import CACHE


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """The answers of ggml's backend at one moment."""

    device: Device
    name: str  # ggml's: "CPU", "CUDA0"
    description: str
    backend: str  # the library: "CPU", "CUDA", "RPC"
    kind: str  # "cpu", "gpu", "igpu" or "accel"
    id: str  # the bus address of a card; empty if there is none
    memory_free_bytes: int
    memory_total_bytes: int
    capabilities: dict[str, bool]  # async, host_buffer, buffer_from_host_ptr, events
    buffer_types: tuple[str, ...]  # the default one first


@dataclass(frozen=True, slots=True)
class MemoryStats:
    """Memory of a device at one moment. The kept graphs' bytes are intermediate results; ``clear_graphs`` frees them.
    Compiled functions and training steps have graphs of their own, which are not among these.

    Tensors are those that somebody holds and that have their elements; weights in a mapped file are among them. On the
    CPU free and total bytes are the machine's.
    """

    device: Device
    free_bytes: int
    total_bytes: int
    num_graphs: int
    graph_bytes: int
    num_tensors: int
    tensor_bytes: int


def memory_stats(of: Device | str = "cpu") -> MemoryStats:
    """The memory of a device, by either of its names; ArgumentError if it is not here.

    Tensors are found by a walk over all objects of the process, which takes a tenth of a second in a large one.
    """
    found = device(of)
    free_bytes, total_bytes = found.memory_bytes
    return MemoryStats(found, free_bytes, total_bytes, *CACHE.usage(found.native), *_tensors(found))


def _tensors(on: Device) -> tuple[int, int]:
    """How many memories the live tensors of a device have, and their bytes.

    The garbage collector knows every node already, so that making a tensor costs nothing more for being counted.
    """
    sizes = {}
    for one in gc.get_objects():
        if type(one) is Node:
            buffer = one.buffer
            if buffer is not None and one.device == on and not buffer.is_closed:
                sizes[id(buffer)] = buffer.num_bytes
    return len(sizes), sum(sizes.values())


def info(of: Device | str = "cpu") -> DeviceInfo:
    """What is known about a device, by either of its names; ArgumentError if it is not here."""
    found = device(of)
    native = native_device(found)
    return DeviceInfo(
        found,
        native.name,
        native.description,
        native.backend,
        native.kind,
        native.id,
        native.memory_free_bytes,
        native.memory_total_bytes,
        native.capabilities,
        tuple(native.buffer_types),
    )


def infos() -> list[DeviceInfo]:
    """``info`` of every device that can hold tensors."""
    return [info(found) for found in devices()]
