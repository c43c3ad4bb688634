"""Where a program may be cut with equal results, and what goes over each of these places."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, groupby

from ggml.programs.expressions import extents
from ggml.programs.graph import Graph, Role, TensorSpec, read_by
from ggml.programs.slices.lifetimes import Lifetimes, lifetimes, state_spans

#: More cuts than anybody has devices for; of more, as many are left, evenly.
MAX_PLACES = 4095


@dataclass(frozen=True, slots=True)
class Place:
    """The place in front of ``node``. ``values`` go over it, in order; ``num_bytes`` is what those take that nodes
    computed, for the shapes of the example."""

    node: int
    values: tuple[int, ...]
    num_bytes: int


def spec_of(graph: Graph, value: int) -> TensorSpec | None:
    """What is known of a value; None for what is no single tensor."""
    if value < len(graph.inputs):
        return graph.inputs[value].spec
    node = graph.nodes[value - len(graph.inputs)]
    return node.specs[0] if len(node.specs) == 1 and not node.is_tuple else None


def num_bytes_of(spec: TensorSpec, symbols: tuple[int, ...]) -> int:
    """What a tensor takes at these extents."""
    return spec.dtype.num_bytes(math.prod(extents(spec.shape, symbols)))


def cut_places(graph: Graph) -> tuple[Place, ...]:
    """The places at which a program is cut: where one computed tensor crosses, or fewer bytes than on either side.

    A place is none if a state would be read on one side and written on the other. Of those between two nodes that read
    weights one is left: a slice has weights.
    """
    found = list(_worth_it(graph, _narrow(list(_all_places(graph)), graph)))
    step = -(-len(found) // MAX_PLACES)
    return tuple(found[::step] if step > 1 else found)


def _all_places(graph: Graph) -> Iterator[Place]:
    """Every place that only single tensors cross, and that no state lies on both sides of."""
    found = lifetimes(graph)
    spans = list(state_spans(graph).values())
    first = len(graph.inputs)
    going: dict[int, int] = {}  # what crosses, with the bytes of what was computed
    for value, one in enumerate(graph.inputs):
        if one.role is Role.USER and one.spec is not None and found.last_use[value] >= 0:
            going[value] = 0
    for node in range(1, len(graph.nodes)):
        made = first + node - 1
        if made not in found.anew and found.last_use[made] >= node:
            spec = spec_of(graph, made)
            going[made] = -1 if spec is None else num_bytes_of(spec, graph.hints)
        for value in _ended(graph, found, going, node):
            del going[value]
        if -1 not in going.values() and not any(low < node <= high for low, high in spans):
            yield Place(node, tuple(sorted(going)), sum(going.values()))


def _ended(graph: Graph, found: Lifetimes, going: dict[int, int], node: int) -> list[int]:
    """What no node from this one on needs."""
    return [value for value in going if found.last_use[value] < node]


def _narrow(places: list[Place], graph: Graph) -> Iterator[Place]:
    first = len(graph.inputs)
    for number, place in enumerate(places):
        num_computed = sum(value >= first for value in place.values)
        if num_computed == 1 or (num_computed and _is_valley(places, number)):
            yield place


def _is_valley(places: list[Place], number: int) -> bool:
    """Whether fewer bytes cross here than before and behind; of several equal places the first."""
    here = places[number].num_bytes
    if number == 0 or places[number - 1].num_bytes <= here:
        return False
    behind = next((place.num_bytes for place in places[number + 1 :] if place.num_bytes != here), 0)
    return behind > here


def _worth_it(graph: Graph, places: Iterator[Place]) -> Iterator[Place]:
    """Of the places between two nodes that read weights the one that the fewest bytes cross; the first of several."""
    weights = {value for value, one in enumerate(graph.inputs) if one.role is Role.WEIGHT}
    before = list(accumulate((any(value in weights for value in read_by(node)) for node in graph.nodes), initial=0))
    for num_before, group in groupby(places, lambda place: before[place.node]):
        if 0 < num_before < before[-1]:
            yield min(group, key=lambda place: place.num_bytes)
