"""What callers have <-> the arrays of a call: numpy arrays, or whatever numpy makes one of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cluster.api.errors import UnreachableError, UsageError
from cluster.messages.program import Array, Arrays
from cluster.wire.codec.arrays import ITEM_BYTES, ArraysAssembly, array_parts
from protos import arrays_pb2


def to_arrays(arrays: Mapping[str, Any] | None, named: Mapping[str, Any]) -> Arrays:
    """Those of a call, by name. UsageError for what is no array of a type that programs have."""
    if arrays is not None and not isinstance(arrays, Mapping):
        raise UsageError(f"run: {type(arrays).__name__} is no dict of arrays; give run(x=array), or a dict")
    found: dict[str, Any] = dict(arrays or {})
    twice = sorted(named.keys() & found.keys())
    if twice:
        raise UsageError(f"run: {twice[0]} is given twice; give it once")
    unnamed = [name for name in found if not isinstance(name, str)]
    if unnamed:
        raise UsageError(f"run: {unnamed[0]!r:.80} is no name of an array; names are texts")
    return {name: _array(name, value) for name, value in {**found, **named}.items()}


def _array(name: str, value: Any) -> Array:
    given = value.detach() if hasattr(value, "detach") else value  # of PyTorch
    try:
        plain = np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"run: {name} is no array: {error}") from error
    if plain.dtype.name not in ITEM_BYTES:
        advice = ".astype(numpy.float32)" if plain.dtype.kind == "f" else "one of " + ", ".join(ITEM_BYTES)
        raise UsageError(f"run: {name} is {plain.dtype.name[:40]}, which no program takes; convert it: {advice}")
    return Array.of(plain)


class SentArrays(Iterable[arrays_pb2.ArraysPart]):
    """The messages of a call, as often as they are wanted."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays

    def __iter__(self) -> Iterator[arrays_pb2.ArraysPart]:
        return array_parts(self._arrays)


class RunParts:
    """Puts the parts of an answer together."""

    def __init__(self) -> None:
        self._assembly: ArraysAssembly | None = None

    def reset(self) -> None:
        """Forget all parts."""
        self._assembly = None

    def add(self, part: arrays_pb2.ArraysPart) -> None:
        """The next one; UsageError if it does not fit."""
        if self._assembly is None:
            self._assembly = ArraysAssembly("array", part.arrays)
        elif part.arrays:
            raise UsageError("run: headers in a later part; run the same version on both ends")
        self._assembly.add(part.data)

    def finish(self) -> dict[str, NDArray[Any]]:
        """The arrays by name. UnreachableError if some are missing."""
        if self._assembly is None or not self._assembly.is_complete:
            raise UnreachableError("run: the stream ended before all arrays had come; ask again")
        return {name: one.numpy() for name, one in self._assembly.take().items()}
