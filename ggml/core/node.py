"""One value of the lazy graph: either memory that is there, or an operation that will make it."""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Hashable
from typing import Any

from ggml.core.devices import Device, allocate
from ggml.core.dtypes import DType
from ggml.core.op import Op
from worker_native import Buffer

MAX_RANK = 8

Shape = tuple[int, ...]

#: What makes a node: the operation, its inputs and parameters.
Recipe = tuple[Op, tuple["Node", ...], tuple[Hashable, ...]]

# Who else may write into the memory of a node: nobody; somebody, as long as an array outside looks at it; somebody
# for good, because the memory was another library's from the beginning or its address was given away.
OWN, SEEN, LENT = range(3)

# Readers that were dropped are forgotten when the list has grown to this length, and to each power of two beyond.
_MANY_READERS = 64

_numbers = itertools.count()


class Node:
    """Immutable in meaning: computing it replaces the operation by the memory of its result.

    ``buffer`` holds the elements in row-major order of ``shape``, without gaps. A node with neither buffer nor
    operation is a placeholder, an argument of a function that is being traced.

    ``sharing`` says who else may write into the memory; a view of shared memory is shared, too. ``readers`` are the
    operations that were recorded on the node, until they are computed or dropped. ``number`` grows from each node that
    is made to the next.
    """

    __slots__ = (
        "__weakref__", "buffer", "depth", "device", "dtype", "is_captured", "is_folded", "number", "readers", "recipe",
        "shape", "sharing",
    )  # fmt: skip

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
        # One tuple, so that threads see all of it or nothing.
        self.recipe: Recipe | None = None if op is None else (op, inputs, params)
        self.number = next(_numbers)
        self.shape = shape
        self.dtype = dtype
        self.device = device
        self.buffer = buffer
        self.is_captured = False  # a compiled function holds its buffer
        self.is_folded = False  # a compiled function holds what it made of the elements once
        self.readers: list[weakref.ref[Node]] | None = None
        self.depth: int = 0
        self.sharing: int = OWN
        depth, sharing = -1, OWN
        if inputs:
            here = weakref.ref(self)
            for node in inputs:
                if node.depth > depth:
                    depth = node.depth
                if node.sharing > sharing:
                    sharing = node.sharing
                node._add_reader(here)
        self.depth, self.sharing = depth + 1, sharing

    @property
    def op(self) -> Op | None:
        recipe = self.recipe
        return None if recipe is None else recipe[0]

    @property
    def inputs(self) -> tuple[Node, ...]:
        recipe = self.recipe
        return () if recipe is None else recipe[1]

    @property
    def params(self) -> tuple[Hashable, ...]:
        recipe = self.recipe
        return () if recipe is None else recipe[2]

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def is_placeholder(self) -> bool:
        return self.buffer is None and self.recipe is None

    @property
    def is_shared(self) -> bool:
        """Whether somebody else may write into the memory of the node, or of what it is a view of."""
        if self.sharing != SEEN:
            return self.sharing == LENT
        node = self
        while node.buffer is None and node.inputs:  # only views are shared without memory of their own
            node = node.inputs[0]
        if node.sharing == LENT or (node.buffer is not None and node.buffer.is_viewed):
            return True
        self.sharing = node.sharing = OWN
        return False

    def _add_reader(self, reader: weakref.ref[Node]) -> None:
        readers = self.readers
        if readers is None:
            self.readers = [reader]
            return
        if len(readers) >= _MANY_READERS and not len(readers) & (len(readers) - 1):
            readers = self.readers = [weakref.ref(node) for node in self.pending_readers()]
        readers.append(reader)

    def pending_readers(self) -> list[Node]:
        """The operations on this node that are still to be computed."""
        found = [reader() for reader in self.readers or ()]
        return [node for node in found if node is not None and node.recipe is not None]

    def __reduce__(self) -> Any:
        raise TypeError("a node cannot be pickled or copied; its tensor can")

    def settle(self, buffer: Buffer) -> None:
        """Keep the result and let go of what made it."""
        self.buffer = buffer
        self.recipe = None
        self.depth = 0


def leaf(shape: Shape, dtype: DType, device: Device, buffer: Buffer) -> Node:
    """A node whose elements are in ``buffer``."""
    return Node(None, (), (), shape, dtype, device, buffer)


def lent_leaf(shape: Shape, dtype: DType, device: Device, buffer: Buffer) -> Node:
    """A node over memory that others may write to at any time."""
    node = leaf(shape, dtype, device, buffer)
    node.sharing = LENT
    return node


def empty_leaf(shape: Shape, dtype: DType, device: Device) -> Node:
    """A node with memory and without values; for shapes with no elements it is complete."""
    return leaf(shape, dtype, device, allocate(device, dtype.num_bytes(math.prod(shape))))


def placeholder(shape: Shape, dtype: DType, device: Device) -> Node:
    """An argument of a function that is being traced."""
    return Node(None, (), (), shape, dtype, device)
