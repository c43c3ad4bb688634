"""A row spells its own name in its checks and errors. A literal that names something else would blame another row."""

from __future__ import annotations

import ast
import inspect
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from ggml.core import errors
from ggml.core.op import Op
from ggml.ops.namespace import TABLE
from ggml.registry import arguments

# Rows that speak for the row that calls them, or that make another's node.
_SPEAK_FOR = {"constant_pad": {"pad"}, "diagonal": {"expand"}, "masked_scatter": {"masked_scatter_take"}}


def _takes_a_name(function: object) -> bool:
    return inspect.isfunction(function) and next(iter(inspect.signature(function).parameters), "") in ("op", "name")


_NAMED = {name for name, found in vars(arguments).items() if _takes_a_name(found)}
_NAMED |= {name for name in vars(errors) if name.endswith("Error")}


def _literals(function: ast.FunctionDef) -> Iterator[str]:
    """The names that checks, errors and ``make`` are given in the body of a row."""
    for call in ast.walk(function):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in _NAMED and call.args:
            first = call.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def _by_file() -> dict[str, dict[str, Op]]:
    found: dict[str, dict[str, Op]] = defaultdict(dict)
    for row in TABLE.values():
        found[row.function.__code__.co_filename][row.function.__name__] = row
    return found


@pytest.mark.parametrize(
    "path", sorted(path for path in _by_file() if Path(path).exists()), ids=lambda path: Path(path).stem
)
def test_rows_spell_their_own_names(path: str) -> None:
    rows = _by_file()[path]
    for function in ast.parse(Path(path).read_text(encoding="utf-8")).body:
        if isinstance(function, ast.FunctionDef) and function.name in rows:
            row = rows[function.name]
            own = {row.name, row.torch, row.torch.rpartition(".")[2], *row.methods, *_SPEAK_FOR.get(row.name, ())}
            assert set(_literals(function)) <= own, row.name


def test_most_rows_are_looked_at() -> None:
    literals = [
        literal
        for path in _by_file()
        if Path(path).exists()
        for function in ast.parse(Path(path).read_text(encoding="utf-8")).body
        if isinstance(function, ast.FunctionDef)
        for literal in _literals(function)
    ]
    assert len(literals) > 600
