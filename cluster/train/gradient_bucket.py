"""GradientBucket: gradients that travel as one array, since each array that travels costs its messages."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

import ggml
from cluster.train import collectives
from cluster.train.collectives import Array
from cluster.train.process_group import ProcessGroup
from ggml.ops.create.interop import over_private

# Bytes of gradients that travel at once, of the first bucket and of those behind it, as in torch.distributed: the last
# layers' gradients are there first, and their way begins while others are computed.
FIRST_BYTES, BUCKET_BYTES = 1 << 20, 25 << 20

# References to an array that only its bucket holds: its attribute, and what asks.
_UNUSED = 2


class GradientBucket:
    """The gradients of some parameters, in f32, and behind them how many ranks have one of each.

    Its array is used again in the next step, unless somebody still has a gradient that lies in it.
    """

    def __init__(self, parameters: Sequence[ggml.Tensor]) -> None:
        self.parameters = list(parameters)
        ends = np.cumsum([parameter.numel() for parameter in self.parameters]).tolist()
        self._places = list(zip([0, *ends[:-1]], ends, strict=True))
        self._length = ends[-1] + len(self.parameters)
        self._flat: Array = np.empty(0, np.float32)
        self._has: Array = np.empty(0, np.float32)
        self._missing: set[int] = set()

    def begin(self) -> None:
        """No gradient is in it."""
        self._has = np.empty(0, np.float32)  # it looks at the array, too
        if len(self._flat) != self._length or sys.getrefcount(self._flat) > _UNUSED:
            self._flat = np.empty(self._length, np.float32)
        self._has = self._flat[self._length - len(self.parameters) :]
        self._has[:] = 0
        self._missing = set(range(len(self.parameters)))

    @property
    def is_full(self) -> bool:
        return not self._missing

    def misses(self, number: int) -> bool:
        return number in self._missing

    def put(self, number: int, gradient: Array | None) -> None:
        """That of a parameter, by its number here: f32, of as many elements. None: there is none."""
        begin, end = self._places[number]
        if gradient is None:
            self._flat[begin:end] = 0
        else:
            self._flat[begin:end] = gradient.reshape(-1)
            self._has[number] = 1
        self._missing.discard(number)

    def average(self, group: ProcessGroup) -> None:
        """Over all ranks. UnreachableError, UsageError."""
        collectives.all_reduce(group, self._flat)
        self._flat[: self._length - len(self.parameters)] /= np.float32(group.world_size)

    def averages(self) -> list[ggml.Tensor | None]:
        """By parameter, in its dtype, on its device; None where no rank had one."""
        found: list[ggml.Tensor | None] = []
        for parameter, (begin, end), has in zip(self.parameters, self._places, self._has, strict=True):
            raw = self._flat[begin:end].view(np.uint8)
            average = over_private(raw, dtype=ggml.float32, shape=tuple(parameter.shape)) if has else None
            found.append(None if average is None else average.to(parameter.dtype).to(parameter.device))
        return found


def buckets_of(parameters: Sequence[ggml.Tensor]) -> list[GradientBucket]:
    """The last parameters first, as their gradients are made."""
    found: list[GradientBucket] = []
    bucket: list[ggml.Tensor] = []
    num_bytes = 0
    for parameter in reversed(parameters):
        bucket.append(parameter)
        num_bytes += 4 * parameter.numel()
        if num_bytes >= (BUCKET_BYTES if found else FIRST_BYTES):
            found.append(GradientBucket(bucket))
            bucket, num_bytes = [], 0
    if bucket:
        found.append(GradientBucket(bucket))
    return found
