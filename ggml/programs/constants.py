"""What depends on weights only, computed once: the results are weights in the place of what they are made of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ggml.programs.expressions import Apply, Symbol
from ggml.programs.graph import Argument, Graph, Input, Role, read_by, references
from ggml.programs.passes.dead import without_dead
from ggml.programs.passes.rewriting import renamed, renamed_node
from ggml.programs.rules import RULES
from ggml.programs.walking import applied
from ggml.tensors.tensor import Tensor

# A result of more elements must not need more memory than the weights that it makes superfluous.
_FEW_ELEMENTS = 1 << 16


def with_constants(graph: Graph, tensors: Mapping[str, Tensor]) -> tuple[Graph, dict[str, Tensor]]:
    """The graph that reads results instead of computing them from weights, and its tensors.

    A result has the name of the first weight that it is made of, where nothing else reads that. What a program
    computes from weights for each shape, or from blocks of fewer bits, stays as it is.
    """
    chosen = _chosen(graph, tensors)
    if not chosen:
        return graph, dict(tensors)
    made = _computed(graph, tensors, chosen)
    return _with_weights(graph, tensors, made)


def _fixed(graph: Graph, tensors: Mapping[str, Tensor]) -> dict[int, frozenset[int]]:
    """The weights that a value is made of, for each value that is made of weights only, at least one."""
    found: dict[int, frozenset[int]] = {}
    plain: set[int] = set()
    for value, one in enumerate(graph.inputs):
        if one.role is Role.WEIGHT and not tensors[one.name].dtype.is_quantized:
            found[value] = frozenset([value])
    for value, node in enumerate(graph.nodes, len(graph.inputs)):
        read = set(read_by(node))
        if not read <= found.keys() | plain or node.op not in RULES or _has_symbols((node.args, node.kwargs)):
            continue
        sources = frozenset(source for one in read for source in found.get(one, ()))
        if sources:
            found[value] = sources
        else:
            plain.add(value)
    return found


def _has_symbols(argument: Argument) -> bool:
    if isinstance(argument, tuple):
        return any(_has_symbols(item) for item in argument)
    return isinstance(argument, (Symbol, Apply))


def _chosen(graph: Graph, tensors: Mapping[str, Tensor]) -> list[int]:
    """The results that something else reads, and that are worth their memory."""
    fixed, first = _fixed(graph, tensors), len(graph.inputs)
    read_elsewhere = {value for output in graph.outputs for value in references(output.value)}
    for value, node in enumerate(graph.nodes, first):
        if value not in fixed:
            read_elsewhere.update(read_by(node))
    chosen = []
    for value in sorted(read_elsewhere):
        if value < first or value not in fixed:
            continue
        node = graph.nodes[value - first]
        if node.op.startswith("pairs."):  # a weight would not say that it is complex
            continue
        shape = node.spec.shape if node.spec else None
        if shape is None or not all(isinstance(extent, int) for extent in shape):
            continue
        freed = sum(tensors[graph.inputs[one].name].numel() for one in fixed[value] - read_elsewhere)
        if math.prod(shape) <= max(freed, _FEW_ELEMENTS):  # type: ignore[arg-type]
            chosen.append(value)
    return chosen


def _computed(graph: Graph, tensors: Mapping[str, Tensor], chosen: list[int]) -> dict[int, Tensor]:
    """The chosen values, in memory. Each is let go of what it is made of before the next."""
    made = {}
    for value in chosen:
        values: dict[int, Tensor] = {}
        for one in _order(graph, value):
            if one < len(graph.inputs):
                values[one] = tensors[graph.inputs[one].name]
            else:
                values[one] = applied(graph.nodes[one - len(graph.inputs)], values, ())
        result = values[value].contiguous()
        result.buffer()
        made[value] = result
    return made


def _order(graph: Graph, value: int) -> list[int]:
    """What a value is made of, and itself, in an order in which it can be computed."""
    needed, open_values = set[int](), [value]
    while open_values:
        one = open_values.pop()
        if one not in needed:
            needed.add(one)
            if one >= len(graph.inputs):
                open_values += read_by(graph.nodes[one - len(graph.inputs)])
    return sorted(needed)


def _with_weights(
    graph: Graph, tensors: Mapping[str, Tensor], made: Mapping[int, Tensor]
) -> tuple[Graph, dict[str, Tensor]]:
    """The results as inputs, in a graph in which they are read; those that nobody reads any more are gone."""
    first = len(graph.inputs)
    specs = {value: graph.nodes[value - first].specs[0] for value in made}
    added = [Input(f"\0{value}", Role.WEIGHT, specs[value]) for value in made]
    places = {value: value if value < first else value + len(made) for value in range(first + len(graph.nodes))}
    places.update({value: first + place for place, value in enumerate(made)})
    nodes = tuple([renamed_node(node, places) for node in graph.nodes])
    outputs = tuple([replace(output, value=renamed(output.value, places)) for output in graph.outputs])
    small = without_dead(replace(graph, inputs=(*graph.inputs, *added), nodes=nodes, outputs=outputs))
    names = {one.name for one in small.inputs}
    kept = {name: tensor for name, tensor in tensors.items() if name in names}
    inputs = {}
    for value, tensor in made.items():
        name = next(one for one in _free_names(_first_weight(graph, value)) if one not in kept)
        kept[name] = tensor
        inputs[f"\0{value}"] = name
    renamed_inputs = tuple([replace(one, name=inputs.get(one.name, one.name)) for one in small.inputs])
    return replace(small, inputs=renamed_inputs), kept


def _first_weight(graph: Graph, value: int) -> str:
    """The weight that comes first where what makes the value is written out."""
    open_values = [value]
    while open_values[-1] >= len(graph.inputs):
        node = graph.nodes[open_values.pop() - len(graph.inputs)]
        open_values += reversed(list(read_by(node)))
    return graph.inputs[open_values[-1]].name


def _free_names(name: str) -> Iterator[str]:
    yield name
    count = 1
    while True:
        yield f"{name}.{count}"
        count += 1
