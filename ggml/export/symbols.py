"""SymPy's expressions over the symbols of an export, as ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ggml.core.errors import UnsupportedOpError
from ggml.programs.expressions import Apply, Expression, Symbol

_NAMES = {
    "Add": "add",
    "Mul": "mul",
    "Max": "max",
    "Min": "min",
    "FloorDiv": "floordiv",
    "CleanDiv": "floordiv",
    "Mod": "mod",
    "PythonMod": "mod",
    "IntTrueDiv": "truediv",
    "FloatTrueDiv": "truediv",
    "PowByNatural": "pow",
    "FloatPow": "pow",
    "Pow": "pow",
    "CeilToInt": "ceil",
    "FloorToInt": "floor",
    "TruncToInt": "trunc",
    "ToFloat": "float",
    "floor": "floor",
    "ceiling": "ceil",
}


def expression(found: Any, places: Mapping[str, int]) -> Expression:
    """An expression of SymPy. UnsupportedOpError where it holds what only the data decide, or another function."""
    if found.is_Integer:
        return int(found)
    if found.is_Float or found.is_Rational:
        return float(found)
    if found.is_Symbol:
        if str(found) not in places:
            raise UnsupportedOpError("lower", "ggml", f"the extent {found} depends on the data of a tensor")
        return Symbol(places[str(found)])
    name = type(found).__name__
    if name == "Identity":
        return expression(found.args[0], places)
    if name == "ModularIndexing":
        base, divisor, modulus = [expression(argument, places) for argument in found.args]
        return Apply("mod", (Apply("floordiv", (base, divisor)), modulus))
    if name not in _NAMES:
        raise UnsupportedOpError("lower", "ggml", f"the extent {found} has the unknown function {name}")
    return Apply(_NAMES[name], tuple([expression(argument, places) for argument in found.args]))
