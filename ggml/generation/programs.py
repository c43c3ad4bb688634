"""A program as generation calls it: which of its inputs are tokens and positions, and which sizes it takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core.errors import ArgumentError
from ggml.ops.create.interop import from_numpy
from ggml.programs.expressions import Extent, Symbol
from ggml.programs.graph import Graph, Input, Role
from ggml.tensors.tensor import Tensor

_TAKES = "takes {}; generation gives int64 token ids [batch, tokens], and positions [tokens] where there is a cache"


class ProgramCall:
    """A ``Program`` or a ``MixedProgram``. Its first result are the logits."""

    def __init__(self, program: Any) -> None:
        self._program = program
        graph: Graph = program.graph
        self._users = graph.users
        tensors = [one for one in self._users if one.spec is not None]
        ids = [one for one in tensors if _is_integer(one, 2)]
        if not ids:
            raise _other(self._users)
        self._ids = next((one for one in ids if one.name == "input_ids"), ids[0])
        assert self._ids.spec is not None
        batch, count = self._ids.spec.shape
        for one in tensors:
            assert one.spec is not None
            is_positions = one.spec.dtype.is_integer and one.spec.shape in ((count,), (1, count), (batch, count))
            if one is not self._ids and not is_positions:
                raise _other(self._users)
        self.keeps = any(one.role is Role.STATE for one in graph.inputs)
        self.num_rows = _only(graph, batch)
        low, high = _range(graph, count)
        self.least_tokens, self.most_tokens = low, high
        if self.keeps and low > 1:
            why = f"takes {low} tokens and more at once; export it with a length that may be 1"
            raise ArgumentError("generate", "the program", why)
        self.context_length = _cache_length(graph) if self.keeps else high

    def begin(self) -> None:
        self._program.reset()

    def __call__(self, tokens: NDArray[np.int64], positions: NDArray[np.int64]) -> Tensor:
        given = [self._given(one, tokens, positions) for one in self._users]
        found: Tensor = self._program.run(given)[0]
        return found

    def _given(self, one: Input, tokens: NDArray[np.int64], positions: NDArray[np.int64]) -> Any:
        if one.spec is None:
            return one.constant
        if one is self._ids:
            values = tokens
        elif len(one.spec.shape) == 1:
            values = positions
        else:
            values = np.tile(positions, (1 if one.spec.shape[0] == 1 else len(tokens), 1))
        return from_numpy(np.ascontiguousarray(values)).to(one.spec.dtype)


def _is_integer(one: Input, rank: int) -> bool:
    return one.spec is not None and one.spec.dtype.is_integer and len(one.spec.shape) == rank


def _other(users: list[Input]) -> ArgumentError:
    listed = ", ".join(f"{one.name} of {len(one.spec.shape)} axes" if one.spec else one.name for one in users)
    return ArgumentError("generate", "the program", _TAKES.format(listed or "nothing"))


def _range(graph: Graph, extent: Extent) -> tuple[int, int | None]:
    """The least and the most that an extent may be; None where there is no end to it."""
    if isinstance(extent, int):
        return extent, extent
    if not isinstance(extent, Symbol):
        raise ArgumentError("generate", "the program", "takes as many tokens as a sum or a product says")
    symbol = graph.symbols[extent.place]
    return symbol.low, symbol.high if symbol.high < 1 << 31 else None


def _only(graph: Graph, extent: Extent) -> int | None:
    low, high = _range(graph, extent)
    return low if low == high else None


def _cache_length(graph: Graph) -> int | None:
    """Tokens that the caches [batch, heads, tokens, width] hold; None where they differ, or have another form."""
    shapes = [one.spec.shape for one in graph.inputs if one.role is Role.STATE and one.spec is not None]
    lengths = {shape[2] for shape in shapes if len(shape) == 4}
    found = lengths.pop() if len(lengths) == 1 else None
    return found if isinstance(found, int) else None
