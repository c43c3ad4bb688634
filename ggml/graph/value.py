"""A strided look at the result of a step. Views cost nothing: only reading one may cost a copy.

Axes are in PyTorch's order, strides and offsets count elements. Strides may be 0 (broadcast) or negative.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ggml.core.node import Shape


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides of elements that lie one after the other."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return tuple(strides)


@dataclass(frozen=True, slots=True)
class Value:
    """Elements of step ``step`` (ggml type ``type``), which itself lies in memory without gaps."""

    step: int
    type: int
    shape: Shape
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def is_dense(self) -> bool:
        """Whether the elements lie one after the other, wherever they begin."""
        expected = 1
        for extent, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if extent != 1 and stride != expected:
                return False
            expected *= extent
        return True

    def permute(self, dims: Sequence[int]) -> Value:
        return replace(self, shape=tuple(self.shape[d] for d in dims), strides=tuple(self.strides[d] for d in dims))

    def swap(self, dim0: int, dim1: int) -> Value:
        dims = list(range(len(self.shape)))
        dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
        return self.permute(dims)

    def expand(self, shape: Shape) -> Value:
        """Broadcast to ``shape``, which NumPy's rules allow."""
        if shape == self.shape:
            return self
        missing = len(shape) - len(self.shape)
        old = zip((1,) * missing + self.shape, (0,) * missing + self.strides, shape, strict=True)
        return replace(self, shape=shape, strides=tuple(0 if have == 1 else stride for have, stride, _ in old))

    def cut(self, starts: Sequence[int], steps: Sequence[int], shape: Shape) -> Value:
        """Every ``steps[i]``-th element from ``starts[i]`` on; a negative step walks backwards."""
        offset = self.offset + sum(start * stride for start, stride in zip(starts, self.strides, strict=True))
        strides = tuple(step * stride for step, stride in zip(steps, self.strides, strict=True))
        return replace(self, shape=shape, strides=strides, offset=offset)

    def reshape_to(self, shape: Shape) -> Value:
        """The same elements in another shape, of a value that is dense."""
        assert self.is_dense and math.prod(shape) == self.numel
        return Value(self.step, self.type, shape, row_major(shape), self.offset)

    def reshape(self, shape: Shape) -> Value | None:
        """The same elements in another shape, or None if that takes a copy."""
        if self.is_dense:
            return self.reshape_to(shape)
        old_shape, (old_strides,) = coalesce(self.shape, (self.strides,))
        strides: list[int] = []
        axes = list(zip(old_shape, old_strides, strict=True))
        extent, stride = axes.pop() if axes else (1, 1)
        for wanted in reversed(shape):
            if extent == 1 and wanted != 1 and axes:
                extent, stride = axes.pop()
            if extent % wanted != 0:
                return None
            strides.append(stride)
            stride *= wanted
            extent //= wanted
        return replace(self, shape=shape, strides=tuple(reversed(strides)))


def coalesce(shape: Shape, strides: Sequence[tuple[int, ...]]) -> tuple[Shape, list[tuple[int, ...]]]:
    """The fewest axes that walk all the patterns alike: axes of one are dropped, neighbours merged."""
    kept: list[int] = []
    merged: list[list[int]] = [[] for _ in strides]
    for axis, extent in enumerate(shape):
        if extent == 1:
            continue
        here = [pattern[axis] for pattern in strides]
        if kept and all(outer[-1] == inner * extent for outer, inner in zip(merged, here, strict=True)):
            kept[-1] *= extent
            for outer, inner in zip(merged, here, strict=True):
                outer[-1] = inner
        else:
            kept.append(extent)
            for outer, inner in zip(merged, here, strict=True):
                outer.append(inner)
    return tuple(kept), [tuple(pattern) for pattern in merged]
