"""Programs to cut: by hand, with everything that a place between two slices has to deal with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import ggml
from ggml.core.dtypes import DType, float32, int64
from ggml.programs.expressions import Symbol, extents
from ggml.programs.graph import Graph, Input, Node, Output, Ref, Role, TensorSpec
from ggml.programs.slices.part import part
from ggml.programs.slices.places import Place
from ggml.programs.slices.running import Slice
from ggml.programs.trees import LEAF, Tree
from ggml.tensors.tensor import Tensor
from tests.ggml.programs.graphs import VECTOR
from tests.ggml.programs.graphs import graph as over_x

SQUARE = TensorSpec(float32, (3, 3))
ROWS = TensorSpec(float32, (Symbol(0), 3))
WHOLE_NUMBERS = TensorSpec(int64, (Symbol(0),))


def node(op: str, *args: object, spec: TensorSpec = ROWS) -> Node:
    return Node(f"aten.{op}", args, specs=(spec,))  # type: ignore[arg-type]


def program(inputs: Sequence[Input], nodes: Sequence[Node], outputs: Sequence[Output]) -> Graph:
    users = sum(one.role is Role.USER for one in inputs)
    given = sum(one.role is Role.USER for one in outputs)
    return replace(
        over_x(),
        inputs=tuple(inputs), nodes=tuple(nodes), outputs=tuple(outputs),
        in_tree=Tree("tuple", (Tree("tuple", (LEAF,) * users), Tree("dict"))),
        out_tree=LEAF if given == 1 else Tree("tuple", (LEAF,) * given),
    )  # fmt: skip


def user(name: str, spec: TensorSpec = ROWS) -> Input:
    return Input(name, Role.USER, spec)


def weight(name: str, spec: TensorSpec = SQUARE) -> Input:
    return Input(name, Role.WEIGHT, spec)


def chain(num_layers: int = 3) -> Graph:
    """relu(x @ w) for each layer. Values: x 0, the weights, then two nodes a layer."""
    nodes, last = [], 0
    for layer in range(num_layers):
        nodes += [node("mm.default", Ref(last), Ref(1 + layer)), node("relu.default", Ref(1 + num_layers + 2 * layer))]
        last = num_layers + 2 * layer + 2
    return program(
        [user("x"), *[weight(f"w{layer}") for layer in range(num_layers)]], nodes, [Output("y", Role.USER, Ref(last))]
    )


def with_positions() -> Graph:
    """Two layers that both add what follows from whole numbers and a vector of frequencies.

    Values: x 0, positions 1, frequencies 2, w0 3, w1 4, then 5: as float, 6: times frequency, 7: cos as a column,
    8: mm, 9: add, 10: mm, 11: add.
    """
    column = TensorSpec(float32, (Symbol(0), 1))
    return program(
        [user("x"), user("positions", WHOLE_NUMBERS), weight("frequency", TensorSpec(float32, (1,))), weight("w0"),
         weight("w1")],
        [
            node("to.dtype", Ref(1), float32, spec=VECTOR),
            node("mul.Tensor", Ref(5), Ref(2), spec=VECTOR),
            node("unsqueeze.default", Ref(6), 1, spec=column),
            node("mm.default", Ref(0), Ref(3)),
            node("add.Tensor", Ref(8), Ref(7)),
            node("mm.default", Ref(9), Ref(4)),
            node("add.Tensor", Ref(10), Ref(7)),
        ],
        [Output("y", Role.USER, Ref(11))],
    )  # fmt: skip


def with_state(reads_again_at_the_end: bool = False) -> Graph:
    """A total that each call adds the first layer's columns to, then two layers.

    Values: x 0, w0 1, w1 2, w2 3, total 4, then 5: mm, 6: mm of the total, 7: their sum, 8: mm, 9: mm, 10: the last.
    """
    last = node("add.Tensor", Ref(9), Ref(4)) if reads_again_at_the_end else node("relu.default", Ref(9))
    return program(
        [user("x", SQUARE), weight("w0"), weight("w1"), weight("w2"), Input("total", Role.STATE, SQUARE)],
        [
            node("mm.default", Ref(0), Ref(1), spec=SQUARE),
            node("add.Tensor", Ref(5), Ref(4), spec=SQUARE),
            node("mm.default", Ref(6), Ref(2), spec=SQUARE),
            node("relu.default", Ref(7), spec=SQUARE),
            node("mm.default", Ref(8), Ref(3), spec=SQUARE),
            replace(last, specs=(SQUARE,)),
        ],
        [Output("y", Role.USER, Ref(10)), Output("total", Role.STATE, Ref(6))],
    )


def random_tensor(dtype: DType, shape: tuple[int, ...]) -> Tensor:
    if dtype is float32:
        return ggml.randn(*shape) if shape else ggml.randn(1).reshape(())
    return ggml.arange(math.prod(shape), dtype=dtype).reshape(shape)


def tensors_for(graph: Graph) -> dict[str, Tensor]:
    ggml.manual_seed(0)
    return {one.name: random_tensor(one.spec.dtype, extents(one.spec.shape, ())) for one in graph.held if one.spec}


def given_for(graph: Graph, symbols: Sequence[int]) -> dict[str, Tensor]:
    ggml.manual_seed(1)
    return {
        one.name: random_tensor(one.spec.dtype, extents(one.spec.shape, tuple(symbols)))
        for one in graph.users
        if one.spec
    }


def slices(graph: Graph, places: Sequence[Place], tensors: Mapping[str, Tensor], bounds: Sequence[int]) -> list[Slice]:
    return [Slice(part(graph, places, first, end), tensors) for first, end in pairwise(bounds)]


def through(parts: Sequence[Slice], given: Mapping[str, Tensor], symbols: Sequence[int]) -> dict[str, Tensor]:
    """What the last slice gives, each given what the one before gave."""
    crossing = dict(given)
    for one in parts:
        crossing = one(crossing, symbols)
    return crossing
