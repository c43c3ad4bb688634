"""How PyTorch's callers call a row of the table: by NumPy's names, with ``out=``, with the options of new tensors."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from ggml.numpy_names import known_names, rename
from ggml.options import Options, given_to, wish

_OPTIONS = tuple(Options.__annotations__)


def as_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with NumPy's names, and with ``out=``: tensors that are there take the result.

    One that makes a tensor from numbers (it takes ``device``) has the options of all that do.
    """
    known, signature = known_names(function), inspect.signature(function)
    parameters = list(signature.parameters.values())
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return function  # it sees to its options itself
    makes = "device" in signature.parameters
    name = function.__name__

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        if not kwargs:
            return function(*args)
        out = kwargs.pop("out", None)
        options = {key: kwargs.pop(key) for key in _OPTIONS if key in kwargs} if makes else None
        rename(name, kwargs, known)
        result = function(*args, **kwargs)
        if options:
            result = wish(name, options, Options, like=result).settle(result)
        return given_to(name, result, out)

    more = ("out", *_OPTIONS) if makes else ("out",)
    extra = [inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation="Any") for key in more]
    called.__signature__ = signature.replace(parameters=[*parameters, *extra])  # type: ignore[attr-defined]
    return called
