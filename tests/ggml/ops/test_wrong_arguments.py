"""Every public function and method, given what does not fit: a typed error, or Python's own for the call."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import ggml

# What changes the process, or the file system.
LEFT_OUT = {"seed", "manual_seed", "save", "load", "load_program", "set_num_threads", "eval_async", "devices"}

Call = tuple[tuple[Any, ...], dict[str, Any]]

# Python's words for a call that does not fit a signature.
CALL = re.compile(r"argument|NotImplemented|keyword")

DUNDERS = ("__getitem__", "__setitem__", "__add__", "__iadd__", "__rpow__", "__or__", "__matmul__")


def wrong() -> list[Any]:
    return ["x", b"x", (), [1], None, 1j, np.float64(3), np.zeros((2, 2), "O"), object(), ggml.int64, {1: 2}, 2**70,
            float("nan"), -1, ggml.ones(2, 2), ggml.ones(2, dtype=ggml.int64), slice(None), True]  # fmt: skip


def functions(place: str) -> dict[str, Callable[..., Any]]:
    """What can be called there, by name."""
    if place == "Tensor":
        names = [name for name in dir(ggml.Tensor) if not name.startswith("_") or name in DUNDERS]
        return {name: one for name in names if callable(one := getattr(ggml.Tensor, name))}
    found: Any = ggml
    for part in place.split(".") if place else ():
        found = getattr(found, part)
    names = found.__all__ if place == "nn.init" else dir(found)
    known = {name: getattr(found, name) for name in names if not name.startswith("_") and name not in LEFT_OUT}
    return {name: one for name, one in known.items() if callable(one) and not inspect.isclass(one)}


def calls(function: Callable[..., Any], value: Any, is_method: bool) -> Iterator[Call]:
    """The value in the first places, and under every name."""
    x = ggml.ones(2, 3)
    if not is_method:
        yield (value,), {}
    yield from (((x, value), {}), ((x, 1, value), {}), ((x, ggml.ones(2, 3), value), {}))
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:
        return
    for one in parameters[1:]:
        if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD):
            yield (x,), {one.name: value}


@pytest.mark.parametrize("place", ["", "nn.functional", "fft", "linalg", "special", "nn.init", "Tensor"])
def test_errors_are_typed(place: str) -> None:
    found: dict[tuple[str, str], str] = {}
    for name, function in functions(place).items():
        for value in wrong():
            for args, kwargs in calls(function, value, place == "Tensor"):
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        function(*args, **kwargs)
                except ggml.GgmlError:
                    pass
                except Exception as error:
                    if not (type(error) is TypeError and CALL.search(str(error))):
                        found[name, type(error).__name__] = f"{error} ({args[1:]}, {kwargs})"
    assert found == {}
