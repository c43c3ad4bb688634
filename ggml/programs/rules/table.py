"""The table of rules: the name of an operation of ATen, and the function that does it with tensors of ggml."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from ggml.ops.namespace import TABLE

Rule = Callable[..., Any]
Function = TypeVar("Function", bound=Rule)

RULES: dict[str, Rule] = {}


def lowering(*names: str) -> Callable[[Function], Function]:
    """Enter a function for these operations. It takes what the operation's schema lists, in that order, by position;
    what stands behind a star there, by name. Places, layouts and formats of memory never reach it."""

    def enter(function: Function) -> Function:
        for name in names:
            assert name not in RULES, name
            RULES[name] = function
        return function

    return enter


def same_as(row: str, *names: str) -> None:
    """Operations that take what a row of the table of ``ggml`` takes, in the same order."""
    lowering(*names)(TABLE[row].function)


@functools.cache
def signature_of(op: str) -> inspect.Signature:
    """What a rule takes."""
    return inspect.signature(RULES[op])
