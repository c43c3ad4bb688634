"""One value of the lazy graph: either memory that is there, or an operation that will make it."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import TYPE_CHECKING

from ggml.devices import Device, allocate
from ggml.dtypes import DType
from worker_native import Buffer

if TYPE_CHECKING:
    from ggml.table import Op

MAX_RANK = 8

Shape = tuple[int, ...]


class Node:
    """Immutable in meaning: computing it replaces the operation by the memory of its result.

    ``buffer`` holds the elements in row-major order of ``shape``, without gaps. A node with neither buffer nor
    operation is a placeholder, an argument of a function that is being traced.
    """

    __slots__ = ("__weakref__", "buffer", "depth", "device", "dtype", "inputs", "is_captured", "op", "params", "shape")

    def __init__(
        self,
        op: Op | None,
        inputs: tuple[Node, ...],
        params: tuple[Hashable, ...],
        shape: Shape,
        dtype: DType,
        device: Device,
        buffer: Buffer | None = None,
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.params = params
        self.shape = shape
        self.dtype = dtype
        self.device = device
        self.buffer = buffer
        self.depth: int = 1 + max([node.depth for node in inputs]) if inputs else 0
        self.is_captured = False  # a compiled function holds its buffer

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def is_placeholder(self) -> bool:
        return self.buffer is None and self.op is None

    def settle(self, buffer: Buffer) -> None:
        """Keep the result and let go of what made it."""
        self.buffer = buffer
        self.op = None
        self.inputs = ()
        self.params = ()
        self.depth = 0


def leaf(shape: Shape, dtype: DType, device: Device, buffer: Buffer) -> Node:
    """A node whose elements are in ``buffer``."""
    return Node(None, (), (), shape, dtype, device, buffer)


def empty_leaf(shape: Shape, dtype: DType, device: Device) -> Node:
    """A node with memory and without values; for shapes with no elements it is complete."""
    return leaf(shape, dtype, device, allocate(device, dtype.num_bytes(math.prod(shape))))


def placeholder(shape: Shape, dtype: DType, device: Device) -> Node:
    """An argument of a function that is being traced."""
    return Node(None, (), (), shape, dtype, device)
