"""Extents as expressions: their values, how they are solved, and how they are told."""

from __future__ import annotations

import pytest

from ggml.core.errors import ArgumentError
from ggml.programs.expressions import Apply, Expression, Symbol, evaluate, extents, solved, text

A, B = Symbol(0), Symbol(1)


@pytest.mark.parametrize(
    ("expression", "value", "told"),
    [
        (Apply("add", (A, 1, B)), 11, "(a + 1 + b)"),
        (Apply("mul", (2, A)), 14, "2*a"),
        (Apply("floordiv", (A, 2)), 3, "(a // 2)"),
        (Apply("mod", (A, 4)), 3, "(a % 4)"),
        (Apply("max", (A, B)), 7, "max(a, b)"),
        (Apply("ceil", (Apply("truediv", (A, 2)),)), 4, "ceil((a / 2))"),
        (Apply("pow", (B, 2)), 9, "(b**2)"),
        (5, 5, "5"),
    ],
)
def test_value_and_text(expression: Expression, value: int, told: str) -> None:
    assert evaluate(expression, (7, 3)) == value
    assert text(expression, ("a", "b")) == told


@pytest.mark.parametrize(
    "expression",
    [
        Apply("floordiv", (A, 0)),
        Apply("pow", (A, 65)),
        Apply("pow", (A, -1)),
        Apply("mul", (1 << 62, A)),
        Apply("ceil", (Apply("mul", (1e300, 1e300)),)),
    ],
)
def test_no_value(expression: Expression) -> None:
    with pytest.raises(ArgumentError):
        evaluate(expression, (7, 3))


def test_solved() -> None:
    assert solved(A, 5, {}) == {0: 5}
    assert solved(Apply("add", (Apply("mul", (2, A)), 1)), 7, {}) == {0: 3}
    assert solved(Apply("mul", (A, B)), 12, {1: 4}) == {0: 3}
    assert solved(Apply("mul", (2, A)), 7, {}) is None
    assert solved(Apply("mul", (0, A)), 0, {}) is None
    assert solved(Apply("floordiv", (A, 2)), 7, {}) is None
    assert solved(Apply("add", (A, B)), 7, {}) is None
    assert solved(Apply("add", (A, B)), 7, {0: 1, 1: 6}) == {}


@pytest.mark.parametrize(
    "expression",
    [
        Apply("mul", (1e308, 1e308)),
        Apply("pow", (-8.0, 0.5)),
        Apply("truediv", (1, 0)),
        Apply("add", (float("nan"), 1)),
    ],
)
def test_what_is_no_number_is_told(expression: Expression) -> None:
    with pytest.raises(ArgumentError):
        evaluate(expression, ())


def test_no_extent_is_negative() -> None:
    with pytest.raises(ArgumentError, match="has a negative extent"):
        extents((2, Apply("add", (A, -9))), (7, 3))
