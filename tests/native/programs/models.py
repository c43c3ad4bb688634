"""Programs for these tests, written by hand and without torch: the same weights each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ggml
from ggml.programs.expressions import Symbol
from ggml.programs.graph import Graph, Input, Node, Output, Ref, Role, SymbolSpec, TensorSpec
from ggml.programs.program import Program
from ggml.programs.trees import LEAF, Tree

WIDTH = 16
BATCH = Symbol(0)


def layers(count: int, width: int = WIDTH) -> Program:
    """`count` linear layers with a ReLU behind each; x [batch, width] in, "output" out."""
    ggml.manual_seed(0)
    spec = TensorSpec(ggml.float32, (BATCH, width))
    matrix, row = TensorSpec(ggml.float32, (width, width)), TensorSpec(ggml.float32, (width,))
    inputs = [Input("x", Role.USER, spec)]
    tensors: dict[str, Any] = {}
    for layer in range(count):
        inputs += [Input(f"{layer}.weight", Role.WEIGHT, matrix), Input(f"{layer}.bias", Role.WEIGHT, row)]
        tensors[f"{layer}.weight"] = ggml.randn(width, width) / width**0.5
        tensors[f"{layer}.bias"] = ggml.randn(width)
    nodes, last = [], Ref(0)
    for layer in range(count):
        value = len(inputs) + len(nodes)
        nodes.append(Node("aten.linear.default", (last, Ref(1 + 2 * layer), Ref(2 + 2 * layer)), (), (spec,)))
        nodes.append(Node("aten.relu.default", (Ref(value),), (), (spec,)))
        last = Ref(value + 1)
    return Program(_graph(inputs, nodes, last), tensors)


def lookup(num_rows: int = 32, width: int = WIDTH) -> Program:
    """Rows of a table for whole numbers, through one linear layer: ids [batch, 3] in, [batch, 3, width] out."""
    ggml.manual_seed(1)
    spec = TensorSpec(ggml.float32, (BATCH, 3, width))
    inputs = [
        Input("ids", Role.USER, TensorSpec(ggml.int64, (BATCH, 3))),
        Input("table", Role.WEIGHT, TensorSpec(ggml.float32, (num_rows, width))),
        Input("weight", Role.WEIGHT, TensorSpec(ggml.float32, (width, width))),
    ]
    nodes = [
        Node("aten.embedding.default", (Ref(1), Ref(0)), (), (spec,)),
        Node("aten.linear.default", (Ref(3), Ref(2)), (), (spec,)),
    ]
    tensors = {"table": ggml.randn(num_rows, width), "weight": ggml.randn(width, width)}
    return Program(_graph(inputs, nodes, Ref(4)), tensors)


def _graph(inputs: list[Input], nodes: list[Node], last: Ref) -> Graph:
    return Graph(
        symbols=(SymbolSpec("batch", 1, 4096, 2),),
        inputs=tuple(inputs),
        nodes=tuple(nodes),
        outputs=(Output("output", Role.USER, last),),
        in_tree=Tree("tuple", (Tree("tuple", (LEAF,)), Tree("dict"))),
        out_tree=LEAF,
    )


def saved(program: Program, path: Path) -> Path:
    program.save(path)
    return path
