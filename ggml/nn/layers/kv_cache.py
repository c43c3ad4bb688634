"""Keys and values of the tokens so far, kept in memory of a fixed size."""

from __future__ import annotations

from typing import Any

from ggml.core import dtypes, tracing
from ggml.core.devices import Device
from ggml.core.dtypes import FLOATING, DType
from ggml.core.errors import ArgumentError, DTypeError, IndexOutOfRangeError, ShapeMismatchError
from ggml.core.node import Node
from ggml.graph import executor
from ggml.ops.create.factories import arange, zeros
from ggml.ops.nn.cache import write_rows
from ggml.tensors import sharing
from ggml.tensors.tensor import Tensor, wrap

__all__ = ["KVCache"]

_NAME = "KVCache"


class KVCache:
    """Room for ``capacity`` tokens of keys and values [batch, heads, capacity, width], zeros at first.

    ``update`` writes new rows in place and returns the whole memory, so that every step has the same shapes:
    a compiled step is recorded once, and reads and writes the cache where it lies. Rows that are not written yet
    have to be masked, as ``MultiheadAttention(..., kv_cache=)`` does. What was made of the rows before a write is
    computed then; the returned memory itself, and views of it, show the new rows. A compiled function writes what
    its results are made of: use both keys and values. Not for several threads at once.
    """

    def __init__(
        self,
        batch_size: int,
        num_heads: int,
        capacity: int,
        head_dim: int,
        *,
        dtype: DType = dtypes.float32,
        device: Device | str | None = None,
    ) -> None:
        if dtype not in FLOATING:
            raise DTypeError(_NAME, "a floating dtype", dtype)
        self.shape = (batch_size, num_heads, capacity, head_dim)
        if min(self.shape) < 1:
            raise ArgumentError(_NAME, "sizes", f"must be positive: {self.shape}")
        self.capacity, self.dtype = capacity, dtype
        parts = [zeros(self.shape, dtype=dtype, device=device) for _ in range(2)]
        for part in parts:
            part.buffer()  # memory of its own
        self._memory = [part._node for part in parts]
        self._traced: tuple[object, list[Node]] = (None, [])
        self._places = arange(capacity, device=parts[0].device)
        self._length = 0

    def __getstate__(self) -> dict[str, Any]:
        """The memory as tensors, which can be pickled and copied; a recording that is under way is not taken along."""
        kept = {name: value for name, value in vars(self).items() if name != "_traced"}
        return kept | {"_memory": [wrap(node) for node in self._memory]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._memory = [part._node for part in state["_memory"]]
        self._traced = (None, [])

    @property
    def length(self) -> int:
        """The tokens that are known to be there. Compiled steps do not change it; it may be set."""
        return self._length

    @length.setter
    def length(self, length: int) -> None:
        if not 0 <= length <= self.capacity:
            raise IndexOutOfRangeError(_NAME, f"length {length} is outside of [0, {self.capacity}]")
        self._length = length

    def reset(self) -> None:
        """Begin anew: the next token is the first. Old rows stay where they are until they are written over."""
        self._length = 0

    def seen(self, positions: Tensor) -> Tensor:
        """Which places a token may look at: bools [tokens, capacity], True up to its own position."""
        return positions.reshape(-1, 1).ge(self._places)

    def update(self, key: Tensor, value: Tensor, cache_position: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Write rows [batch, heads, tokens, width] behind those that are there, or to ``cache_position`` [tokens].

        Returns all keys, all values, and the int64 positions of the new tokens. A compiled function has to be given
        ``cache_position`` as a tensor argument: a length would be fixed when it is recorded. IndexOutOfRangeError
        if the cache is full.
        """
        rows = self._checked(key, value)
        positions = self._positions(rows[0].shape[2], cache_position)
        if tracing.is_active():
            written = self._written_while_traced(rows, positions)
        else:
            self._write_now(rows, positions)
            written = [wrap(node) for node in self._memory]
        return written[0], written[1], positions

    def _checked(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        for part in (key, value):
            if not isinstance(part, Tensor) or part.dtype not in FLOATING:
                raise DTypeError(_NAME, "floating keys and values", getattr(part, "dtype", type(part).__name__))
            batch, heads, _, width = self.shape
            if part.ndim != 4 or tuple(part.shape) != (batch, heads, part.shape[2], width) or not part.shape[2]:
                raise ShapeMismatchError(_NAME, f"rows [{batch}, {heads}, tokens, {width}]", tuple(part.shape))
        if key.shape != value.shape:
            raise ShapeMismatchError(_NAME, "as many keys as values", (tuple(key.shape), tuple(value.shape)))
        return key, value

    def _positions(self, count: int, given: Tensor | None) -> Tensor:
        if given is None:
            if tracing.is_active():
                raise ArgumentError(_NAME, "cache_position", "must be given, as a tensor, in a compiled function")
            if self._length + count > self.capacity:
                raise IndexOutOfRangeError(_NAME, f"{self._length} + {count} tokens; there is room for {self.capacity}")
            return self._places[self._length : self._length + count]
        if not isinstance(given, Tensor) or not given.dtype.is_integer or tuple(given.shape) != (count,):
            got = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
            raise ShapeMismatchError(_NAME, f"an integer cache_position [{count}]", got)
        return given.to(dtypes.int64)

    def _write_now(self, rows: tuple[Tensor, Tensor], positions: Tensor) -> None:
        """Compute the rows and write them; one element of each memory is read, so that there is a result."""
        places = positions.tolist()
        if min(places) < 0 or max(places) >= self.capacity:
            raise IndexOutOfRangeError(_NAME, f"position {max(places)} or {min(places)} of {self.capacity}")
        for node in self._memory:
            sharing.settle_readers(node)
        written = [write_rows(wrap(node), part, positions) for node, part in zip(self._memory, rows, strict=True)]
        executor.compute([one[:1, :1, :1, :1]._node for one in written])
        self._length = max(self._length, max(places) + 1)

    def _written_while_traced(self, rows: tuple[Tensor, Tensor], positions: Tensor) -> list[Tensor]:
        """The memory after the write, behind any earlier write of the same recording."""
        recording, earlier = self._traced
        targets = earlier if recording is tracing.current() else self._memory
        written = [write_rows(wrap(node), part, positions) for node, part in zip(targets, rows, strict=True)]
        self._traced = (tracing.current(), [one._node for one in written])
        return written
