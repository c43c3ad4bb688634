"""NumPy's names for PyTorch's arguments, which PyTorch's functions and methods take, too."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from ggml.errors import ArgumentError

_NAMES = {"dim": ("axis",), "keepdim": ("keepdims",), "input": ("x", "a", "x1"), "other": ("x2",)}


def known_names(function: Callable[..., Any]) -> dict[str, str]:
    """PyTorch's name for each of NumPy's that this function may be called with."""
    taken = inspect.signature(function).parameters
    return {alias: name for name in taken for alias in _NAMES.get(name, ()) if alias not in taken}


def rename(name: str, kwargs: dict[str, Any], known: dict[str, str]) -> None:
    """Give the arguments of a call of ``name`` PyTorch's names."""
    for alias in known.keys() & kwargs.keys():
        if known[alias] in kwargs:
            raise ArgumentError(name, alias, f"is another name for {known[alias]}, which is given, too")
        kwargs[known[alias]] = kwargs.pop(alias)


def as_method(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as a method that takes ``axis`` for ``dim``; itself if it has no such argument."""
    known = {alias: name for alias, name in known_names(function).items() if name in ("dim", "keepdim")}
    if not known:
        return function

    @functools.wraps(function)
    def method(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            rename(function.__name__, kwargs, known)
        return function(*args, **kwargs)

    return method
