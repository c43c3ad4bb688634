"""What a program says that it takes, and calls that give something else, before any array is sent."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from cluster.api.errors import CapacityError, ClusterError, UsageError
from cluster.coordinator.programs.signature import Signature
from cluster.wire import limits
from ggml.core.dtypes import int64
from ggml.programs.expressions import Apply, Symbol
from ggml.programs.graph import Graph, Input, Output, Ref, Role, SymbolSpec, TensorSpec
from ggml.programs.trees import LEAF, Tree
from tests.ggml.programs.slices.graphs import ROWS, chain, node, program, user, weight, with_positions, with_state


@dataclass(frozen=True)
class Given:
    """What is known of an array before it comes."""

    dtype: str
    shape: tuple[int, ...]


def given(*shape: int, dtype: str = "float32") -> Given:
    return Given(dtype, shape)


def test_what_is_shown() -> None:
    found = Signature.of(with_positions())
    assert found.shown_inputs == "x: float32 (s0, 3); positions: int64 (s0)"
    assert found.shown_outputs == "output: float32 (s0, 3)"
    assert Signature.of(with_state()).shown_outputs == "output: float32 (3, 3)", "no state"


def test_symbols_come_from_the_shapes() -> None:
    assert Signature.of(chain()).symbols({"x": given(5, 3)}) == (5,)
    assert Signature.of(with_positions()).symbols({"positions": given(2, dtype="int64"), "x": given(2, 3)}) == (2,)


WRONG: dict[str, tuple[dict[str, Given], str]] = {
    "nothing": ({}, "'x' is missing|'positions' is missing"),
    "one too few": ({"x": given(2, 3)}, "'positions' is missing; the program takes x: float32"),
    "one too much": (
        {"x": given(2, 3), "positions": given(2, dtype="int64"), "w0": given(3, 3)}, "'w0' is none of its inputs",
    ),
    "a strange name": ({"\x1b[31m": given(1)}, r"'\\x1b\[31m' is none of its inputs"),
    "another dtype": ({"x": given(2, 3), "positions": given(2)}, "positions is float32; the program takes int64"),
    "another rank": ({"x": given(2), "positions": given(2, dtype="int64")}, "run: .*x"),
    "another width": ({"x": given(2, 4), "positions": given(2, dtype="int64")}, "run: .*x"),
    "extents that differ": ({"x": given(2, 3), "positions": given(3, dtype="int64")}, "run: "),
    "an extent over the bounds": ({"x": given(9, 3), "positions": given(9, dtype="int64")}, "run: "),
    "no rows": ({"x": given(0, 3), "positions": given(0, dtype="int64")}, "run: "),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_calls_that_give_something_else_are_refused(name: str) -> None:
    arrays, why = WRONG[name]
    with pytest.raises(UsageError, match=why):
        Signature.of(with_positions()).symbols(arrays)


def squared() -> Graph:
    """x @ x.T for up to a million rows: its result has the square of the rows."""
    square = TensorSpec(ROWS.dtype, (Apply("mul", (Symbol(0), Symbol(0))),))
    one = program(
        [user("x"), weight("w0")],
        [node("mm.default", Ref(0), Ref(1)), node("relu.default", Ref(2), spec=square)],
        [Output("y", Role.USER, Ref(3))],
    )
    return replace(one, symbols=(SymbolSpec("rows", 1, 1 << 20, 3),))


def test_results_that_are_too_long_are_refused_before_they_are_made() -> None:
    found = Signature.of(squared())
    assert found.symbols({"x": given(1000, 3)}) == (1000,)
    rows = int((limits.MAX_CALL_BYTES / 4) ** 0.5)
    assert found.symbols({"x": given(rows, 3)}) == (rows,)
    with pytest.raises(CapacityError, match="smaller arrays"):
        found.symbols({"x": given(rows + 2, 3)})


def test_constants_are_not_asked_for() -> None:
    graph = chain()
    more = replace(
        graph,
        inputs=(*graph.inputs, Input("flag", Role.USER, None, True)),
        nodes=tuple(replace(one, args=tuple(_behind(a, 4) for a in one.args)) for one in graph.nodes),  # type: ignore[arg-type]
        outputs=(replace(graph.outputs[0], value=Ref(10)), Output("n", Role.USER, 5)),
        out_tree=Tree("dict", (LEAF, LEAF), ("y", "n")),
    )
    found = Signature.of(more)
    assert found.shown_inputs == "x: float32 (s0, 3)"
    assert found.symbols({"x": given(4, 3)}) == (4,)
    assert list(found.outputs) == ["y"], "numbers are no tensors"


def _behind(argument: object, first: int) -> object:
    is_moved = isinstance(argument, Ref) and argument.value >= first
    return Ref(argument.value + 1) if is_moved and isinstance(argument, Ref) else argument


def test_the_example_is_taken() -> None:
    found = Signature.of(with_positions())
    example = found.example()
    assert {name: (one.dtype, one.shape, one.data.nbytes) for name, one in example.items()} == {
        "x": ("float32", (3, 3), 36), "positions": ("int64", (3,), 24),
    }  # fmt: skip
    assert found.symbols(example) == (3,)
    assert int64.name == example["positions"].dtype


def test_huge_extents_are_refused_and_nothing_else_happens() -> None:
    for extent in (1 << 31, 1 << 62, (1 << 64) - 1):
        with pytest.raises(ClusterError):
            Signature.of(squared()).symbols({"x": given(extent, 3)})
