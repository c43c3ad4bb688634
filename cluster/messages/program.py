"""The messages of one call of a program: what goes from stage to stage, and what comes back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cluster.messages.step import Microbatch, StepId, StepResult

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Array:
    """A tensor outside of any device. `data` [n] are its elements as they lie in memory; nobody writes to it."""

    dtype: str  # ggml's name for it
    shape: tuple[int, ...]
    data: Bytes

    @classmethod
    def of(cls, plain: NDArray[Any]) -> Array:
        """A numpy array of any order; its memory is shared where it can be."""
        little = np.ascontiguousarray(plain).astype(plain.dtype.newbyteorder("<"), copy=False)
        return cls(plain.dtype.name, plain.shape, little.reshape(-1).view(np.uint8))

    @classmethod
    def zeros(cls, dtype: str, shape: tuple[int, ...], item_bytes: int) -> Array:
        return cls(dtype, shape, np.zeros(math.prod(shape) * item_bytes, np.uint8))

    def numpy(self) -> NDArray[Any]:
        """An array of its own, which may be written to. A bfloat16, which numpy has not, as the float32 it is."""
        data = bytearray(self.data.tobytes())
        if self.dtype == "bfloat16":
            wide = np.frombuffer(data, "<u2").astype(np.uint32) << 16
            return wide.view(np.float32).reshape(self.shape)
        return np.frombuffer(data, np.dtype(self.dtype).newbyteorder("<")).reshape(self.shape)


Arrays = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class CallFailure:
    """What went wrong with one call. Set by the stage that noticed."""

    kind: str  # name of the class in `cluster.api.errors` that the call ends with
    reason: str  # its message


@dataclass(frozen=True, slots=True)
class ProgramStep:
    """One call on its way: what crosses to the next stage. Set by the coordinator, then by each stage."""

    id: StepId
    symbols: tuple[int, ...]  # the extents of this call, in the order of the program's
    arrays: Arrays = field(default_factory=dict)
    failure: CallFailure | None = None  # then it goes through the other stages without being computed

    @property
    def num_rows(self) -> int:
        """One microbatch is one call."""
        return 1


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """What the last stage returns for one call."""

    id: StepId
    arrays: Arrays
    failure: CallFailure | None = None


AnyStep = Microbatch | ProgramStep  # what goes through the stages, which all take the one or the other
AnyResult = StepResult | ProgramResult
