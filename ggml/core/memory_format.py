"""PyTorch's names for the order in which elements lie. Here there is one: row-major, the last axis first.

A format is accepted wherever PyTorch takes one, and asks for nothing: tensors have no strides that could show it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.core.node import Shape

__all__ = [
    "Layout",
    "MemoryFormat",
    "channels_last",
    "channels_last_3d",
    "contiguous_format",
    "preserve_format",
    "strided",
]


@dataclass(frozen=True, slots=True, eq=False)
class MemoryFormat:
    """``order`` is the axes from the innermost on, for the rank that the format is for; empty for any."""

    name: str
    order: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return f"ggml.{self.name}"

    def __reduce__(self) -> str:
        return self.name  # there is one of each: a copy is the format itself


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """How elements lie. There is one: ``ggml.strided``."""

    name: str

    def __repr__(self) -> str:
        return f"ggml.{self.name}"


strided = Layout("strided")

contiguous_format = MemoryFormat("contiguous_format")
preserve_format = MemoryFormat("preserve_format")
channels_last = MemoryFormat("channels_last", (1, 3, 2, 0))
channels_last_3d = MemoryFormat("channels_last_3d", (1, 4, 3, 2, 0))


def checked(op: str, memory_format: Any, shape: Shape) -> None:
    """Refuse what is no format, and one that is for another rank."""
    if memory_format is None:
        return
    if not isinstance(memory_format, MemoryFormat):
        raise DTypeError(op, "a memory format", type(memory_format).__name__)
    if memory_format.order and len(memory_format.order) != len(shape):
        raise ShapeMismatchError(op, f"{len(memory_format.order)} axes for {memory_format}", tuple(shape))


def is_contiguous(shape: Shape, memory_format: Any) -> bool:
    """Whether elements in row-major order are in this format, too: extents of 1 leave an axis's place open."""
    if not isinstance(memory_format, MemoryFormat):
        raise DTypeError("is_contiguous", "a memory format", type(memory_format).__name__)
    if memory_format is preserve_format:
        raise ArgumentError("is_contiguous", "memory_format", "must not be preserve_format")
    if not memory_format.order:
        return True
    if len(memory_format.order) != len(shape):
        return False
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * max(shape[axis + 1], 1)
    expected = 1
    for axis in memory_format.order:
        if shape[axis] != 1:
            if strides[axis] != expected:
                return False
            expected *= shape[axis]
    return True
