"""Small graphs, written by hand."""

from __future__ import annotations

from ggml.core.dtypes import float32
from ggml.programs.expressions import Symbol
from ggml.programs.graph import Graph, Input, Node, Output, Ref, Role, SymbolSpec, TensorSpec
from ggml.programs.trees import LEAF, Tree

VECTOR = TensorSpec(float32, (Symbol(0),))


def graph(*nodes: Node, result: int | None = None, weights: tuple[str, ...] = ()) -> Graph:
    """Over one user's input ``x`` [s0], value 0, and then the weights [s0]. The last node is the result."""
    inputs = (Input("x", Role.USER, VECTOR), *[Input(name, Role.WEIGHT, VECTOR) for name in weights])
    value = len(inputs) + len(nodes) - 1 if result is None else result
    return Graph(
        (SymbolSpec("s0", 1, 8, 3),), inputs, nodes, (Output("y", Role.USER, Ref(value)),),
        Tree("tuple", (Tree("tuple", (LEAF,)), Tree("dict"))), LEAF,
    )  # fmt: skip


def node(op: str, *args: object) -> Node:
    return Node(f"aten.{op}", args, specs=(VECTOR,))  # type: ignore[arg-type]
