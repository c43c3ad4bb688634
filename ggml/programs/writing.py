"""Rows that are written into a state: found in a graph, so that they go into the memory that is there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ggml.core.dtypes import float16, float32, int64
from ggml.ops.nn.cache import write_rows
from ggml.ops.shape.cutting import narrow
from ggml.programs.graph import Graph, Node, Ref, Role
from ggml.programs.passes.matching import Values, arguments
from ggml.registry.arguments import convert
from ggml.tensors.tensor import Tensor


@dataclass(frozen=True, slots=True)
class Write:
    """Rows that replace those at ``places`` of one axis of a state."""

    target: Ref
    places: Ref
    rows: Ref
    dim: int
    may_wrap: bool  # negative places count from the end


def writes_in_place(graph: Graph) -> dict[int, Write]:
    """The values that are a state after rows of it were written, where nothing reads the state as it was before: the
    memory of the state itself can then be written to, instead of a copy."""
    values = Values(graph)
    states = {place: one for place, one in enumerate(graph.inputs) if one.role is Role.STATE}
    names = {one.name: place for place, one in states.items()}
    found: dict[int, Write] = {}
    for output in graph.outputs:
        if output.role is not Role.STATE or not isinstance(output.value, Ref):
            continue
        chain, value = {}, output.value.value
        while value not in states:
            node = graph.nodes[value - len(graph.inputs)] if value >= len(graph.inputs) else None
            write = _write(values, node) if node else None
            if node is None or write is None or not isinstance(node.args[0], Ref):
                break
            chain[value], value = write, node.args[0].value
            if values.num_readers[value] != 1:
                break
        if chain and value == names[output.name] and values.num_readers[value] == 1:
            found.update(chain)
    return found


def _write(values: Values, node: Node) -> Write | None:
    """The write that a node is. Its rows are float32 or float16, of as many axes as the state."""
    spec = values.spec(node.args[0]) if node.args else None
    if spec is None or spec.dtype not in (float32, float16) or not all(isinstance(one, int) for one in spec.shape):
        return None
    target, rank, write = node.args[0], len(spec.shape), None
    if not isinstance(target, Ref):
        return None
    if node.op == "aten.index_copy.default":
        given = arguments(node, ("self", None), ("dim", None), ("index", None), ("source", None))
        if given and isinstance(given[1], int) and isinstance(given[2], Ref) and isinstance(given[3], Ref):
            write = Write(target, given[2], given[3], given[1] % max(rank, 1), False)
    elif node.op == "aten.index_put.default":
        given = arguments(node, ("self", None), ("indices", ()), ("values", None), ("accumulate", False))
        indices = given[1] if given and isinstance(given[1], tuple) else ()
        named = [(dim, one) for dim, one in enumerate(indices) if one is not None]
        if given and given[3] is False and len(named) == 1 and isinstance(named[0][1], Ref):
            write = Write(target, named[0][1], given[2], named[0][0], True) if isinstance(given[2], Ref) else None
    if write is None:
        return None
    places, rows = values.spec(write.places), values.spec(write.rows)
    if places is None or rows is None or not places.dtype.is_integer or len(places.shape) != 1:
        return None
    wanted = (*spec.shape[: write.dim], *places.shape, *spec.shape[write.dim + 1 :])
    return write if rows.dtype is spec.dtype and rows.shape == wanted else None


def written(write: Write, values: Sequence[Any]) -> Tensor:
    """The state after the write: the memory of the state itself, once this is computed.

    Where a place is none of the axis's, nothing is written. IndexOutOfRangeError of the call says so.
    """
    target: Tensor = values[write.target.value]
    rows, places = values[write.rows.value], values[write.places.value]
    shape = target.shape
    outer, inner = math.prod(shape[: write.dim]), math.prod(shape[write.dim + 1 :])
    count = places.shape[0]
    if not target.numel() or not rows.numel():
        return target
    planes = target.reshape(1, outer, shape[write.dim], inner)
    result = write_rows(planes, rows.reshape(1, outer, count, inner), convert(places, int64), write.may_wrap)
    return result.reshape(shape)


def first_element(tensor: Tensor) -> Tensor:
    """One element of a tensor, if it has any."""
    return narrow(tensor.reshape(-1), 0, 0, min(tensor.numel(), 1))
