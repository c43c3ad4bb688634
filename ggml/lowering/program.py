"""The program under construction: steps in, an array of words for the native graph out."""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml import dtypes
from ggml.devices import Device
from ggml.lowering.value import Value, row_major
from ggml.node import Shape
from worker_native import Buffer, kernels, primitive_names

Extents = tuple[int, int, int, int]

_MAX_SOURCES = 9

_ARRAYS: dict[int, Any] = {dtypes.F32: np.float32, dtypes.I32: np.int32, dtypes.I64: np.int64}


@functools.cache
def codes() -> dict[str, int]:
    """The native code of each primitive."""
    return {name: code for code, name in enumerate(primitive_names())}


@functools.cache
def kernel_entries(family: str) -> dict[tuple[str, int], tuple[int, int]]:
    """(name, ggml type of the source) -> (number of the kernel, ggml type of the result)."""
    return {(name, source): (number, result) for number, (name, source, result) in enumerate(kernels(family))}


def bits(number: float) -> int:
    """A float as a parameter of a step."""
    word: int = struct.unpack("<q", struct.pack("<d", number))[0]
    return word


def extents(shape: Sequence[int]) -> Extents:
    """ggml's order, innermost first; axes beyond four are folded into the outermost."""
    inner = [*reversed(shape[-3:]), 1, 1, 1][:3]
    return inner[0], inner[1], inner[2], math.prod(shape[:-3])


class Program:
    """Steps in ggml's terms. Each method returns the number of the new step."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.words: list[int] = []
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
        self.words += (codes()[name], type, *ne, len(sources), *sources, len(params), *params)
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
        """A constant without axes."""
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

    def array(self) -> NDArray[np.int64]:
        return np.array(self.words, np.int64)

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
