"""Extents that are known only when a program is called: expressions over the extents of its inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ggml.core.errors import ArgumentError

Number = int | float

#: Deeper ones are no shapes of any model.
MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Symbol:
    """The symbol at this place of the program's list."""

    place: int


@dataclass(frozen=True, slots=True)
class Apply:
    """A function of ``FUNCTIONS`` by name, of numbers and other expressions."""

    function: str
    arguments: tuple[Expression, ...]


Expression = Number | Symbol | Apply

#: An extent of a tensor.
Extent = int | Symbol | Apply


def _power(base: Number, exponent: Number) -> Number:
    if exponent < 0 or exponent > 64:
        raise ValueError("an exponent outside [0, 64]")
    result: Number = base**exponent
    return result


#: What expressions are made of: the function and its number of arguments, None for two and more.
FUNCTIONS: dict[str, tuple[Callable[..., Number], int | None]] = {
    "add": (lambda *terms: sum(terms), None),
    "mul": (lambda *factors: math.prod(factors), None),
    "max": (max, None),
    "min": (min, None),
    "floordiv": (lambda a, b: a // b, 2),
    "mod": (lambda a, b: a % b, 2),
    "truediv": (lambda a, b: a / b, 2),
    "pow": (_power, 2),
    "ceil": (math.ceil, 1),
    "floor": (math.floor, 1),
    "trunc": (math.trunc, 1),
    "float": (float, 1),
}


def evaluate(expression: Expression, symbols: Sequence[int]) -> Number:
    """The number of an expression. ArgumentError where it has none: a division by zero, or too large."""
    if isinstance(expression, Symbol):
        return symbols[expression.place]
    if not isinstance(expression, Apply):
        return expression
    function, _ = FUNCTIONS[expression.function]
    arguments = [evaluate(argument, symbols) for argument in expression.arguments]
    try:
        result = function(*arguments)
    except (ArithmeticError, ValueError, TypeError) as error:
        raise ArgumentError("program", f"an extent, {text(expression)},", f"has no value: {error}") from None
    if isinstance(result, complex) or (isinstance(result, float) and not math.isfinite(result)):
        raise ArgumentError("program", f"an extent, {text(expression)},", "is no finite number")
    if isinstance(result, int) and not -(1 << 63) <= result < 1 << 63:
        raise ArgumentError("program", f"an extent, {text(expression)},", "does not fit into 64 bits")
    return result


def extents(shape: Sequence[Extent], symbols: Sequence[int]) -> tuple[int, ...]:
    """The numbers of a shape. ArgumentError where one is negative."""
    found = tuple([one if isinstance(one, int) else int(evaluate(one, symbols)) for one in shape])
    if min(found, default=0) < 0:
        raise ArgumentError("program", f"a shape, {found},", "has a negative extent")
    return found


def symbols_of(expression: Expression) -> Iterator[int]:
    """The places of the symbols in an expression, repetitions included."""
    if isinstance(expression, Symbol):
        yield expression.place
    elif isinstance(expression, Apply):
        for argument in expression.arguments:
            yield from symbols_of(argument)


def solved(expression: Expression, value: int, known: dict[int, int]) -> dict[int, int] | None:
    """The symbol that makes ``expression`` equal ``value``, where only one is unknown and sums and products lead to it.

    Empty where nothing is unknown; None where there is no such whole number, or no way to it.
    """
    unknown = [place for place in symbols_of(expression) if place not in known]
    if not unknown:
        return {}
    if isinstance(expression, Symbol):
        return {expression.place: value}
    if len(unknown) > 1 or not isinstance(expression, Apply) or expression.function not in ("add", "mul"):
        return None
    values = {place: known.get(place, 0) for place in symbols_of(expression)}
    listed = [values.get(place, 0) for place in range(max(values) + 1)]
    inner = next(one for one in expression.arguments if any(place not in known for place in symbols_of(one)))
    others = [int(evaluate(one, listed)) for one in expression.arguments if one is not inner]
    if expression.function == "add":
        return solved(inner, value - sum(others), known)
    factor = math.prod(others)
    return solved(inner, value // factor, known) if factor and value % factor == 0 else None


_SIGNS = {"add": " + ", "mul": "*", "floordiv": " // ", "mod": " % ", "truediv": " / ", "pow": "**"}


def text(expression: Any, names: Sequence[str] = ()) -> str:
    """An expression as people write it; a symbol without a name is ``s`` and its place."""
    if isinstance(expression, Symbol):
        return names[expression.place] if expression.place < len(names) else f"s{expression.place}"
    if not isinstance(expression, Apply):
        return str(expression)
    parts = [text(argument, names) for argument in expression.arguments]
    sign = _SIGNS.get(expression.function)
    if sign is None:
        return f"{expression.function}({', '.join(parts)})"
    return "(" + sign.join(parts) + ")" if sign != "*" else sign.join(parts)
