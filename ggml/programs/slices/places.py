"""Where a program may be cut with equal results, and what goes over each of these places."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import NamedTuple

from ggml.programs.expressions import extents
from ggml.programs.graph import Graph, Role, TensorSpec, read_by
from ggml.programs.slices.lifetimes import lifetimes, state_spans

#: More cuts than anybody has devices for; of more, as many are left, evenly.
MAX_PLACES = 4095

#: More tensors than any step carries.
MAX_VALUES = 512


@dataclass(frozen=True, slots=True)
class Place:
    """The place in front of ``node``. ``values`` go over it, in order; ``num_bytes`` is what those take that nodes
    computed, for the shapes of the example."""

    node: int
    values: tuple[int, ...]
    num_bytes: int


def spec_of(graph: Graph, value: int) -> TensorSpec | None:
    """What is known of a value; None for what is no single tensor."""
    first = len(graph.inputs)
    return graph.inputs[value].spec if value < first else graph.nodes[value - first].spec


def num_bytes_of(spec: TensorSpec, symbols: tuple[int, ...]) -> int:
    """What a tensor takes at these extents."""
    return spec.dtype.num_bytes(math.prod(extents(spec.shape, symbols)))


def cut_places(graph: Graph) -> tuple[Place, ...]:
    """The places at which a program is cut: where one computed tensor crosses, or fewer bytes than on either side.

    A place is none if a state would be read on one side and written on the other, or if very many tensors cross. Of
    those between two nodes that read weights one is left: a slice has weights.
    """
    found = list(_worth_it(graph, _narrow(list(_all_places(graph)))))
    step = -(-len(found) // MAX_PLACES)
    kept = found[::step] if step > 1 else found
    crossing = _crossing(graph, {one.node for one in kept})
    return tuple([Place(one.node, crossing[one.node], one.num_bytes) for one in kept])


class _Candidate(NamedTuple):
    """What decides on a place, without what crosses there: a program may have very many."""

    node: int
    num_computed: int
    num_bytes: int


def _all_places(graph: Graph) -> Iterator[_Candidate]:
    """Every place that only single tensors cross, and that no state lies on both sides of."""
    spans = _straddled(graph)
    for node, going in _walked(graph):
        computed = [num_bytes for value, num_bytes in going.items() if value >= len(graph.inputs)]
        if len(going) <= MAX_VALUES and -1 not in computed and not spans[node]:
            yield _Candidate(node, len(computed), sum(computed))


def _walked(graph: Graph) -> Iterator[tuple[int, dict[int, int]]]:
    """For each place what crosses there, with the bytes of what was computed; -1 of what is no single tensor. It is the
    same dict each time."""
    found = lifetimes(graph)
    first = len(graph.inputs)
    going: dict[int, int] = {}
    ends: dict[int, list[int]] = {}
    for value, one in enumerate(graph.inputs):
        if one.role is Role.USER and one.spec is not None and found.last_use[value] >= 0:
            going[value] = 0
            ends.setdefault(found.last_use[value], []).append(value)
    for node in range(1, len(graph.nodes)):
        made = first + node - 1
        if made not in found.anew and found.last_use[made] >= node:
            spec = spec_of(graph, made)
            going[made] = -1 if spec is None else num_bytes_of(spec, graph.hints)
            ends.setdefault(found.last_use[made], []).append(made)
        for value in ends.pop(node - 1, ()):  # no node from this one on needs it
            going.pop(value, None)
        yield node, going


def _crossing(graph: Graph, nodes: Collection[int]) -> dict[int, tuple[int, ...]]:
    return {node: tuple(sorted(going)) for node, going in _walked(graph) if node in nodes}


def _straddled(graph: Graph) -> list[bool]:
    """For each place whether a state lies on both sides of it."""
    changes = [0] * (len(graph.nodes) + 2)
    for low, high in state_spans(graph).values():
        changes[low + 1] += 1
        changes[high + 1] -= 1
    return [depth > 0 for depth in accumulate(changes)]


def _narrow(places: list[_Candidate]) -> Iterator[_Candidate]:
    for number, place in enumerate(places):
        if place.num_computed == 1 or (place.num_computed and _is_valley(places, number)):
            yield place


def _is_valley(places: list[_Candidate], number: int) -> bool:
    """Whether fewer bytes cross here than before and behind; of several equal places the first."""
    here = places[number].num_bytes
    if number == 0 or places[number - 1].num_bytes <= here:
        return False
    behind = next((place.num_bytes for place in places[number + 1 :] if place.num_bytes != here), 0)
    return behind > here


def _worth_it(graph: Graph, places: Iterator[_Candidate]) -> Iterator[_Candidate]:
    """Of the places between two nodes that read weights the one that the fewest bytes cross; the first of several."""
    weights = {value for value, one in enumerate(graph.inputs) if one.role is Role.WEIGHT}
    before = list(accumulate((any(value in weights for value in read_by(node)) for node in graph.nodes), initial=0))
    for num_before, group in groupby(places, lambda place: before[place.node]):
        if 0 < num_before < before[-1]:
            yield min(group, key=lambda place: place.num_bytes)
