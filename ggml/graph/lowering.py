"""A plan in the words of the native graph: each row's ``lower``, one after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ggml.core.devices import Device
from ggml.core.dtypes import BF16, F16, F32
from ggml.core.node import Node, Recipe
from ggml.graph.builder import Builder
from ggml.graph.plan import Plan
from ggml.graph.program import Steps
from ggml.graph.value import Value
from worker_native import Buffer

_HALF = (F16, BF16)


@dataclass(frozen=True, slots=True)
class Lowered:
    """A plan in the words of the native graph."""

    steps: Steps
    outputs: NDArray[np.int64]
    constants: list[Buffer]
    step_ops: list[str]


def lower_plan(todo: Plan, device: Device) -> Lowered:
    """Lower each node, without building anything."""
    builder = Builder(device)
    values: dict[int, Value] = {}
    for node in todo.leaves:
        values[id(node)] = builder.program.input(node.shape, node.dtype.ggml_type)
    for node, recipe in zip(todo.pending, todo.recipes, strict=True):
        values[id(node)] = _lower(builder, node, recipe, [values[id(source)] for source in recipe[1]])
    nodes = [*todo.leaves, *todo.pending]
    outputs = np.array([_output(builder, values[id(nodes[place])]) for place in todo.outputs], np.int64)
    return Lowered(builder.program.steps(), outputs, builder.program.constants, builder.step_ops())


def _lower(builder: Builder, node: Node, recipe: Recipe, values: list[Value]) -> Value:
    row, _, params = recipe
    assert row.lower is not None
    builder.begin(row.name)
    if row.widens:
        values = [builder.cast(value, F32) if value.type in _HALF else value for value in values]
    result = row.lower(builder, values, params, node)
    assert result.shape == node.shape, f"{row.name}: lowered to {result.shape} instead of {node.shape}"
    return builder.cast(result, node.dtype.ggml_type)


def _output(builder: Builder, value: Value) -> int:
    builder.begin("result")
    step = builder.own(value).step
    if step in builder.claimed:
        step = builder.duplicate(value).step
    builder.claimed.add(step)
    return step
