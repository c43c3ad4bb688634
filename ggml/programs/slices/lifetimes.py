"""How long each value of a graph is needed, and which are worked out anew instead of sent from slice to slice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ggml.programs.graph import Graph, Input, Ref, Role, read_by, references


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """``last_use`` has for each value the last node that needs it, by its place; that of a user's output is the
    number of nodes, and -1 what nobody needs. A value that is worked out anew needs the inputs that it follows from."""

    last_use: tuple[int, ...]
    anew: frozenset[int]


def lifetimes(graph: Graph) -> Lifetimes:
    """Those of all values."""
    anew = _anew(graph)
    first = len(graph.inputs)
    last_use = [-1] * (first + len(graph.nodes))
    for place, node in enumerate(graph.nodes):
        if first + place not in anew:
            for value in read_by(node):
                last_use[value] = place
    spans = state_spans(graph)
    for output in graph.outputs:
        # The new value of a state stays where the state is.
        until = spans[output.name][1] if output.role is Role.STATE else len(graph.nodes)
        for value in references(output.value):
            last_use[value] = max(last_use[value], until)
    # From the last node to the first: what one is needed for, those are needed for which it reads.
    for place in reversed(range(len(graph.nodes))):
        if first + place in anew:
            for value in read_by(graph.nodes[place]):
                last_use[value] = max(last_use[value], last_use[first + place])
    return Lifetimes(tuple(last_use), anew)


def _anew(graph: Graph) -> frozenset[int]:
    """What follows from whole numbers and booleans alone: positions, masks, rotary tables.

    They cost less than sending them would, and each slice has what they follow from. Vectors that a model keeps for
    them, such as frequencies, may be read; tables with more axes may not, since embeddings are looked up in them.
    """
    found = {value for value, one in enumerate(graph.inputs) if _is_small(one)}
    inputs = frozenset(found)
    for value, node in enumerate(graph.nodes, len(graph.inputs)):
        if all(read in found for read in read_by(node)):
            found.add(value)
    return frozenset(found - inputs)


def _is_small(one: Input) -> bool:
    if one.spec is None:
        return True
    if one.role is Role.WEIGHT:
        return len(one.spec.shape) <= 1
    return one.role is Role.USER and not one.spec.dtype.is_floating_point


def state_spans(graph: Graph) -> Mapping[str, tuple[int, int]]:
    """The first and the last node that read or write each state, by place; (0, 0) of one that no node needs.

    One that an output reads is read behind the last node.
    """
    names = {value: one.name for value, one in enumerate(graph.inputs) if one.role is Role.STATE}
    places: dict[str, list[int]] = {name: [] for name in names.values()}
    for place, node in enumerate(graph.nodes):
        for value in read_by(node):
            if value in names:
                places[names[value]].append(place)
    last = max(0, len(graph.nodes) - 1)
    for output in graph.outputs:
        if output.role is Role.STATE and isinstance(output.value, Ref) and output.value.value >= len(graph.inputs):
            places[output.name].append(output.value.value - len(graph.inputs))
        for value in references(output.value):
            if value in names:
                places[names[value]].append(last)
                if output.role is Role.STATE:  # both are kept by one slice
                    places[output.name].append(last)
    return {name: (min(found, default=0), max(found, default=0)) for name, found in places.items()}
