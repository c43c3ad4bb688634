"""One recorded shape of a program, and the memory that the shapes of a program share. Free of anything native."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core.dtypes import DType
from ggml.graph.program import Steps
from ggml.programs.graph import Role

#: What recordings say they are written in, and what this library reads.
VERSION = 1

#: The key of the recordings in the header of a file, and the tensor with the memory that they share.
KEY, MEMORY = "ggml.recordings", "ggml.recorded"

# Vectors of the CPU are loaded from here.
_ALIGNMENT_BYTES = 64


@dataclass(frozen=True, slots=True)
class Slot:
    """A tensor that goes in or comes out."""

    name: str
    role: Role  # USER or STATE
    dtype: DType
    shape: tuple[int, ...]
    in_place: bool = False  # of a state among the outputs: rows were written into its memory


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes of the shared memory."""

    offset: int
    num_bytes: int


#: Where an input of the native graph lies: a place among the recording's inputs, a weight by name, or shared memory.
Source = int | str | Range


@dataclass(frozen=True, slots=True)
class Recorded:
    """One shape of a call. ``results`` has the step of each output. Of one without elements, or written in place, it
    computes one number that nobody looks at."""

    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    steps: Steps
    results: tuple[int, ...]
    sources: tuple[Source, ...]


class Memory:
    """Bytes that recordings share: what was worked out of weights, tables and numbers. Each piece lies there once."""

    def __init__(self, first: NDArray[np.uint8] | None = None, ranges: Iterable[Range] = ()) -> None:
        """``first`` is there already, and has pieces at ``ranges``."""
        self._pieces: list[NDArray[np.uint8]] = [] if first is None else [first]
        self._known = [] if first is None else [(one, first[one.offset : one.offset + one.num_bytes]) for one in ranges]
        self._found: dict[bytes, Range] = {}
        self.num_bytes = 0 if first is None else len(first)

    def place(self, piece: NDArray[np.uint8]) -> Range:
        """Where the piece lies, added if it is not there yet."""
        while self._known:  # only who records more needs to read what a file has
            one, there = self._known.pop()
            self._found.setdefault(hashlib.sha256(there.data).digest(), one)
        digest = hashlib.sha256(piece.data).digest()
        if digest not in self._found:
            padding = -self.num_bytes % _ALIGNMENT_BYTES
            self._pieces += [np.zeros(padding, np.uint8), piece]
            self._found[digest] = Range(self.num_bytes + padding, len(piece))
            self.num_bytes += padding + len(piece)
        return self._found[digest]

    def array(self) -> NDArray[np.uint8]:
        """All of it, as whole words of 8 bytes."""
        padding = np.zeros(-self.num_bytes % 8, np.uint8)
        return np.concatenate([*self._pieces, padding])


@dataclass
class Recordings:
    """The recorded shapes of a program, by the shapes of what a call gives."""

    memory: Memory = field(default_factory=Memory)
    by_shapes: dict[tuple[Any, ...], Recorded] = field(default_factory=dict)

    def add(self, one: Recorded) -> None:
        """Keep it, in place of an earlier one of the same shapes."""
        self.by_shapes[tuple([slot.shape for slot in one.inputs if slot.role is Role.USER])] = one

    def __len__(self) -> int:
        return len(self.by_shapes)
