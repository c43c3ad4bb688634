"""How a call may be spelled beside the names in a signature: NumPy's names, and PyTorch's own. And what a flag is."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ggml.core.errors import ArgumentError, DTypeError

# NumPy's names, which PyTorch's functions and methods take, too.
_NUMPY = {"dim": ("axis",), "keepdim": ("keepdims",), "input": ("x", "a", "x1"), "other": ("x2",)}

# What PyTorch calls one argument in the several forms that it has of one function.
_FORMS = {
    "B": ("b", "other"),
    "L": ("input2",),
    "dim0": ("axis0",),
    "dim1": ("axis1",),
    "indices_or_sections": ("indices", "sections", "tensor_indices_or_sections"),
    "split_size_or_sections": ("split_size",),
    "test_elements": ("test_element",),
}
_NAMES = _NUMPY | _FORMS


class Spelling:
    """What the callers of one function may write, read from its signature once."""

    __slots__ = ("aliases", "flags", "name", "places")

    def __init__(self, function: Callable[..., Any], kinds: tuple[type, ...] = (bool, np.bool_)) -> None:
        taken = inspect.signature(function).parameters
        self.name = function.__name__
        self.aliases = {alias: name for name in taken for alias in _NAMES.get(name, ()) if alias not in taken}
        wanted = {"bool": kinds, "bool | None": (*kinds, type(None))}
        self.flags = {name: wanted[one.annotation] for name, one in taken.items() if one.annotation in wanted}
        in_order = [name for name, one in taken.items() if one.kind is one.POSITIONAL_OR_KEYWORD]
        self.places = tuple((at, name) for at, name in enumerate(in_order) if name in self.flags)

    def settle(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Give the arguments PyTorch's names, and refuse what is no flag where one is asked for."""
        for at, name in self.places:
            if at < len(args) and type(args[at]) is not bool:
                self._check(name, args[at])
        if kwargs:
            for alias in self.aliases.keys() & kwargs.keys():
                name = self.aliases[alias]
                if name in kwargs:
                    raise ArgumentError(self.name, alias, f"is another name for {name}, which is given, too")
                kwargs[name] = kwargs.pop(alias)
            for name in self.flags.keys() & kwargs.keys():
                self._check(name, kwargs[name])

    def _check(self, name: str, value: Any) -> None:
        if not isinstance(value, self.flags[name]):
            raise DTypeError(self.name, f"a bool as {name}", type(value).__name__)


def as_method(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as a method; itself if no argument but its tensors has another name, and none is a flag."""
    spelling = Spelling(function)
    if not spelling.flags and not set(spelling.aliases.values()) - {"input", "other"}:
        return function

    @functools.wraps(function)
    def method(*args: Any, **kwargs: Any) -> Any:
        spelling.settle(args, kwargs)
        return function(*args, **kwargs)

    return method
