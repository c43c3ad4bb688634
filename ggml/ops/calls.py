"""How callers call a row of the table: spelled in PyTorch's ways, with ``out=`` and the options of new tensors."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ggml.ops.create.options import Options, given_to, wish
from ggml.registry.spelling import Spelling

_OPTIONS = tuple(Options.__annotations__)


def as_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with NumPy's names, and with ``out=``: tensors that are there take the result.

    One that makes a tensor from numbers (it takes ``device``) has the options of all that do.
    """
    spelling, signature = Spelling(function), inspect.signature(function)
    parameters = list(signature.parameters.values())
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return function  # it sees to its options itself
    makes = "device" in signature.parameters

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        if not kwargs and not spelling.places:
            return function(*args)
        out = kwargs.pop("out", None)
        options = {key: kwargs.pop(key) for key in _OPTIONS if key in kwargs} if makes else None
        spelling.settle(args, kwargs)
        result = function(*args, **kwargs)
        if options:
            result = wish(spelling.name, options, Options, like=result).settle(result)
        return given_to(spelling.name, result, out)

    more = ("out", *_OPTIONS) if makes else ("out",)
    extra = [inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation="Any") for key in more]
    called.__signature__ = signature.replace(parameters=[*parameters, *extra])  # type: ignore[attr-defined]
    return called


def as_functional(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as PyTorch's ``nn.functional`` has it, whose flags may be 0 and 1; itself if it has no flag."""
    spelling = Spelling(function, (bool, int, np.bool_))
    spelling.aliases.clear()
    if not spelling.flags:
        return function

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        spelling.settle(args, kwargs)
        return function(*args, **kwargs)

    return called
