"""How much nodes compute, by hand."""

from __future__ import annotations

import pytest

from ggml.core.dtypes import float32
from ggml.programs.coverage import coverage
from ggml.programs.expressions import Symbol
from ggml.programs.flops import flops
from ggml.programs.graph import Graph, Input, Node, Output, Ref, Role, SymbolSpec, TensorSpec
from ggml.programs.trees import LEAF, Tree
from tests.ggml.programs.graphs import graph, node


def of(op: str, shapes: list[tuple[int, ...]], result: tuple[int, ...], *more: object) -> int:
    """The FLOPs of one node that reads a tensor of each shape."""
    inputs = tuple([Input(f"x{at}", Role.USER, TensorSpec(float32, shape)) for at, shape in enumerate(shapes)])
    reads = tuple([Ref(at) for at in range(len(shapes))])
    one = Node(f"aten.{op}", (*reads, *more), specs=(TensorSpec(float32, result),))  # type: ignore[arg-type]
    tree = Tree("tuple", (Tree("tuple", (LEAF,) * len(shapes)), Tree("dict")))
    return flops(Graph((), inputs, (one,), (Output("y", Role.USER, Ref(len(shapes))),), tree, LEAF))[0]


@pytest.mark.parametrize(
    ("op", "shapes", "result", "more", "wanted"),
    [
        ("linear.default", [(2, 5, 3), (7, 3), (7,)], (2, 5, 7), (), 2 * 2 * 5 * 7 * 3),
        ("addmm.default", [(7,), (5, 3), (3, 7)], (5, 7), (), 2 * 5 * 7 * 3),
        ("bmm.default", [(4, 5, 3), (4, 3, 7)], (4, 5, 7), (), 2 * 4 * 5 * 7 * 3),
        ("conv2d.default", [(2, 6, 8, 8), (4, 3, 3, 3)], (2, 4, 6, 6), (), 2 * 2 * 4 * 36 * 27),
        ("conv_transpose1d.default", [(2, 6, 8), (6, 4, 3)], (2, 4, 10), (), 2 * 2 * 6 * 8 * 12),
        (
            "scaled_dot_product_attention.default",
            [(2, 4, 5, 8), (2, 4, 9, 8), (2, 4, 9, 6)],
            (2, 4, 5, 6),
            (),
            2 * 2 * 4 * 5 * 9 * (8 + 6),
        ),
        ("relu.default", [(2, 3)], (2, 3), (), 6),
        ("sum.dim_IntList", [(2, 3)], (2,), ((1,),), 6),
        ("permute.default", [(2, 3)], (3, 2), ((1, 0),), 0),
        ("embedding.default", [(1000, 8), (2, 3)], (2, 3, 8), (), 0),
    ],
)
def test_flops_of_one_node(
    op: str, shapes: list[tuple[int, ...]], result: tuple[int, ...], more: tuple[object, ...], wanted: int
) -> None:
    assert of(op, shapes, result, *more) == wanted


def test_extents_are_those_of_the_example() -> None:
    spec = TensorSpec(float32, (Symbol(0), 4))
    tree = Tree("tuple", (Tree("tuple", (LEAF,)), Tree("dict")))
    whole = Graph(
        (SymbolSpec("s0", 1, 8, 3),), (Input("x", Role.USER, spec),),
        (Node("aten.exp.default", (Ref(0),), specs=(spec,)),), (Output("y", Role.USER, Ref(1)),), tree, LEAF,
    )  # fmt: skip
    assert flops(whole) == [12]


def test_shares_of_a_table() -> None:
    table = coverage(graph(node("exp.default", Ref(1)), node("add.Tensor", Ref(0), Ref(2)), weights=("w",)))
    assert {(row.op, row.on, row.flops) for row in table.rows} == {
        ("aten.exp.default", "folded", 3),
        ("aten.add.Tensor", "ggml", 3),
    }
    assert table.share("ggml") == table.share("folded") == 0.5
    assert "FLOPs" in str(table)
    assert "50.0%" in str(table)
