"""The program under construction: steps in, an array of words for the native graph out."""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ggml.core import dtypes
from ggml.core.devices import Device
from ggml.core.node import Shape
from ggml.graph.value import Value, row_major
from worker_native import Buffer, kernels

Extents = tuple[int, int, int, int]

_MAX_SOURCES = 9

_ARRAYS: dict[int, Any] = {dtypes.F32: np.float32, dtypes.I32: np.int32, dtypes.I64: np.int64}


@functools.cache
def kernel_results(family: str) -> dict[tuple[str, int], int]:
    """(name of the kernel, ggml type of its last source) -> ggml type of the result."""
    return {(name, source): result for name, source, result in kernels(family)}


def bits(number: float) -> int:
    """A float as a parameter of a step."""
    word: int = struct.unpack("<q", struct.pack("<d", number))[0]
    return word


def extents(shape: Sequence[int]) -> Extents:
    """ggml's order, innermost first; axes beyond four are folded into the outermost."""
    inner = [*reversed(shape[-3:]), 1, 1, 1][:3]
    return inner[0], inner[1], inner[2], math.prod(shape[:-3])


class Steps(NamedTuple):
    """A program as the native graph reads it. It means the same in every process: steps name their primitives."""

    names: list[str]
    words: NDArray[np.int64]  # for each step: place in `names`, type, ne[4], number of sources, sources, and so on

    def step_names(self) -> list[str]:
        """For each step its primitive and, behind a colon, which kernel of it: "mul_mat", "map:add"."""
        found: list[str] = []
        flat = self.words.tolist()
        place = 0
        while place < len(flat):
            found.append(self.names[flat[place]])
            num_sources = flat[place + 6]
            place += 8 + num_sources + flat[place + 7 + num_sources]
        return found


class Program:
    """Steps in ggml's terms. Each method returns the number of the new step."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._names: dict[str, int] = {}
        self._words: list[int] = []
        self.constants: list[Buffer] = []  # the fixed memory of the inputs that `constant` made, in their order
        self._inputs: set[int] = set()
        self._types: list[int] = []
        self._extents: list[Extents] = []
        self._views: dict[tuple[int, Extents, tuple[int, ...]], int] = {}
        self._scalars: dict[tuple[int, bytes], Value] = {}

    @property
    def num_steps(self) -> int:
        return len(self._types)

    def emit(self, name: str, sources: Sequence[int], type: int, ne: Extents, params: Sequence[int] = ()) -> int:
        assert len(sources) <= _MAX_SOURCES
        place = self._names.setdefault(name, len(self._names))
        self._words += (place, type, *ne, len(sources), *sources, len(params), *params)
        self._types.append(type)
        self._extents.append(ne)
        return len(self._types) - 1

    def input(self, shape: Shape, type: int) -> Value:
        """The next input, before any constant; its memory is named when the program runs."""
        step = self.emit("input", (), type, extents(shape))
        self._inputs.add(step)
        return Value(step, type, shape, row_major(shape))

    def constant(self, array: NDArray[np.generic], type: int) -> Value:
        """An input after all leaves, whose memory is fixed here. The array holds elements of the ggml type."""
        plain = np.ascontiguousarray(array)
        buffer = Buffer(self.device.native, plain.nbytes)
        buffer.write(plain.reshape(-1).view(np.uint8))
        self.constants.append(buffer)
        return self.input(array.shape, type)

    def scalar(self, number: float, type: int) -> Value:
        """A constant without axes. A number that is too large for the type is infinite, as in PyTorch."""
        with np.errstate(over="ignore"):
            array = np.array(number).astype(_ARRAYS[type])
        key = type, array.tobytes()
        if key not in self._scalars:
            self._scalars[key] = self.constant(array, type)
        return self._scalars[key]

    def is_input(self, step: int) -> bool:
        return step in self._inputs

    def share(self, step: int) -> None:
        """The step lies in the memory of an input, so that an output of it has to be a copy."""
        self._inputs.add(step)

    def steps(self) -> Steps:
        return Steps(list(self._names), np.array(self._words, np.int64))

    def extents_of(self, step: int) -> Extents:
        return self._extents[step]

    def view(self, value: Value, ne: Extents, strides: Extents | None = None) -> int:
        """``value``'s elements as ggml sees them: extents and element strides (dense if None), innermost first."""
        strides = strides or _dense(ne)
        if value.offset == 0 and ne == self._extents[value.step] and strides == _dense(ne):
            return value.step
        params = self._bytes(value, strides)
        key = (value.step, ne, params)
        if key not in self._views:
            self._views[key] = self.emit("view", (value.step,), value.type, ne, params)
        return self._views[key]

    def _bytes(self, value: Value, strides: Extents) -> tuple[int, ...]:
        """nb[4] and the offset. Strides of a quantised type are whole rows, save the first."""
        dtype = dtypes.of_ggml_type(value.type)
        inner, *outer = strides
        first = dtype.block_bytes if dtype.block > 1 else inner * dtype.block_bytes
        return (first, *(dtype.num_bytes(stride) for stride in outer), dtype.num_bytes(value.offset))


def _dense(ne: Extents) -> Extents:
    return 1, ne[0], ne[0] * ne[1], ne[0] * ne[1] * ne[2]
