"""Buffers that calls change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence

from ggml.core.errors import ArgumentError, StateDictError
from ggml.core.memory import outside
from ggml.tensors.tensor import Tensor, wrap
from ggml.tensors.transfer import move


class States(MutableMapping[str, Tensor]):
    """The states of a program by name. A tensor that was read from here, or put here, never changes afterwards: the
    next call writes to a copy of it."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._first = dict(tensors)
        self._tensors = dict(tensors)
        self._own: set[str] = set()

    def __getitem__(self, name: str) -> Tensor:
        self._own.discard(name)
        return self._tensors[name]

    def __setitem__(self, name: str, tensor: Tensor) -> None:
        if name not in self._first:
            raise StateDictError("program", [], [name], [], True)
        first = self._first[name]
        if not isinstance(tensor, Tensor) or tensor.dtype is not first.dtype or tensor.shape != first.shape:
            found = f"{tensor.dtype} {tuple(tensor.shape)}" if isinstance(tensor, Tensor) else type(tensor).__name__
            misfit = f"{name}: {found} instead of {first.dtype} {tuple(first.shape)}"
            raise StateDictError("program", [], [], [misfit], True)
        self._own.discard(name)
        self._tensors[name] = tensor

    def __delitem__(self, name: str) -> None:
        raise ArgumentError("program", "state", f"{name} belongs to the program; reset() gives it its first value")

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def all(self) -> dict[str, Tensor]:
        """Every tensor, for as long as no call writes to one."""
        return dict(self._tensors)

    def first(self) -> dict[str, Tensor]:
        """What ``reset`` gives."""
        return dict(self._first)

    def put(self, name: str, tensor: Tensor) -> None:
        """What a call made of the state."""
        self._own.discard(name)
        self._tensors[name] = tensor

    def read(self, name: str) -> Tensor:
        """The tensor, for as long as no call writes to it."""
        return self._tensors[name]

    def writable(self, name: str) -> Tensor:
        """The tensor in memory that nobody else looks at."""
        if name not in self._own:
            node = self._tensors[name]._node
            with outside():
                self._tensors[name] = wrap(move(node, self._tensors[name].buffer(), node.device))
            self._own.add(name)
        return self._tensors[name]

    def take(self, other: States) -> None:
        """Have the values that ``other`` has now. Either one's next call writes to a copy."""
        for name in self:
            self.put(name, other[name])

    def reset(self) -> None:
        """Give each the value it had at first."""
        self._tensors = dict(self._first)
        self._own.clear()

    def __repr__(self) -> str:
        return repr(self._tensors)


class RowStates(States):
    """Those of several texts, as a program has them that takes a row of each (``ggml.programs.slices.joint``)."""

    def __init__(self, rows: Sequence[States]) -> None:
        self._rows = {row_name(name, row): (states, name) for row, states in enumerate(rows) for name in states}

    def read(self, name: str) -> Tensor:
        states, own = self._rows[name]
        return states.read(own)

    def writable(self, name: str) -> Tensor:
        states, own = self._rows[name]
        return states.writable(own)

    def put(self, name: str, tensor: Tensor) -> None:
        states, own = self._rows[name]
        states.put(own, tensor)


def row_name(state: str, row: int) -> str:
    """What a state is called that belongs to one row."""
    return f"{state}#{row}"
