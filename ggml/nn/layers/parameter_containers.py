"""Lists and dicts of parameters. As in PyTorch, tensors become parameters and other values are kept as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from ggml.core.errors import ArgumentError, DTypeError, IndexOutOfRangeError
from ggml.nn.module.module import Module
from ggml.nn.parameter import Parameter
from ggml.tensors.tensor import Tensor

__all__ = ["ParameterDict", "ParameterList"]


def _owned(value: Any) -> Any:
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value


def _shown(name: str, value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"  ({name}): Object of type: {type(value).__name__}"
    size = "x".join(str(extent) for extent in value.shape)
    place = "" if value.device.is_cpu else f" ({value.device})"
    kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
    return f"  ({name}): {kind} containing: [{value.dtype} of size {size}{place}]"


class ParameterList(Module):
    """Parameters by number."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def _name(self, index: int) -> str:
        if isinstance(index, bool) or not hasattr(index, "__index__"):
            raise DTypeError("ParameterList", "an integer or a slice as index", type(index).__name__)
        place = index.__index__()
        if not -self._size <= place < self._size:
            raise IndexOutOfRangeError("ParameterList", f"index {place} is outside of {self._size} values")
        return str(place % self._size)

    def __getitem__(self, idx: int | slice) -> Any:
        if isinstance(idx, slice):
            return type(self)(getattr(self, str(place)) for place in range(*idx.indices(self._size)))
        return getattr(self, self._name(idx))

    def __setitem__(self, idx: int, param: Any) -> None:
        setattr(self, self._name(idx), _owned(param))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return iter(self[:]._all())

    def _all(self) -> list[Any]:
        return [getattr(self, str(place)) for place in range(self._size)]

    def __iadd__(self, values: Iterable[Any]) -> Self:
        return self.extend(values)

    def append(self, value: Any) -> Self:
        """Add a value at the end."""
        place, self._size = self._size, self._size + 1
        self[place] = value
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add values at the end."""
        if not isinstance(values, Iterable) or isinstance(values, Tensor):
            raise DTypeError("ParameterList", "values in a sequence", type(values).__name__)
        for value in list(values):
            self.append(value)
        return self

    def pop(self, idx: int = -1) -> Any:
        """Take a value out and return it; those after it move down."""
        kept = self._all()
        found = kept.pop(int(self._name(idx)))
        delattr(self, str(self._size - 1))
        self._size -= 1
        for place, value in enumerate(kept):
            setattr(self, str(place), value)
        return found

    def extra_repr(self) -> str:
        return "\n".join(_shown(str(place), value) for place, value in enumerate(self._all()))


class ParameterDict(Module):
    """Parameters by name, in the order in which they were added."""

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise ArgumentError("ParameterDict", repr(key), f"is none of {list(self._keys)}")
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise DTypeError("ParameterDict", "a string as name", type(key).__name__)
        if key not in self._keys and hasattr(self, key):
            raise ArgumentError("ParameterDict", repr(key), "is an attribute already")
        setattr(self, key, _owned(value))
        self._keys[key] = None

    def __delitem__(self, key: str) -> None:
        self[key]
        del self._keys[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._keys.keys()

    def values(self) -> Iterable[Any]:
        """The parameters."""
        return [self[key] for key in self._keys]

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names and parameters."""
        return [(key, self[key]) for key in self._keys]

    def get(self, key: str, default: Any = None) -> Any:
        """The parameter of that name, or ``default``."""
        return getattr(self, key) if key in self._keys else default

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The parameter of that name, which is ``default`` if there was none."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: str) -> Any:
        """Take a parameter out and return it."""
        found = self[key]
        del self[key]
        return found

    def clear(self) -> None:
        """Let go of every parameter."""
        for key in list(self._keys):
            del self[key]

    def update(self, parameters: Any) -> None:
        """Add or replace parameters: from a mapping, or from pairs of name and value."""
        if not isinstance(parameters, (Mapping, ParameterDict)) and not isinstance(parameters, Iterable):
            raise DTypeError("ParameterDict", "a mapping or pairs", type(parameters).__name__)
        pairs = parameters.items() if isinstance(parameters, (Mapping, ParameterDict)) else parameters
        for pair in list(pairs):
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise ArgumentError("ParameterDict", "parameters", "must be pairs of name and value")
            self[pair[0]] = pair[1]

    def extra_repr(self) -> str:
        return "\n".join(_shown(name, value) for name, value in self.items())
