"""In which order rows pass the nodes: the one whose messages take the least. A pure search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise, starmap

# Up to so many all orders are compared: nine take a hundredth of a second.
MOST_EXACT = 9

# What a message takes from one node to another, in any unit; infinite where there is no way.
Cost = Callable[[str, str], float]
# (nodes passed, as bits; the last of them): what the best way there costs, and that way.
_Ways = dict[tuple[int, int], tuple[float, tuple[int, ...]]]


def best_order(nodes: Sequence[str], head: str, forward: Cost, back: Cost, least_gain: float = 0.0) -> tuple[str, ...]:
    """All `nodes`, the head first if it is one of them.

    A round goes from the head to the first node, through all, and back to the head: `forward` is what rows take from
    a node to the next, `back` what tokens take to and from the head. Exact for MOST_EXACT nodes; beyond, each is
    followed by the nearest one that is left. The order of `nodes` stays unless the best one gains more than
    `least_gain`: of links that are nearly equal another one is the best each time they are measured, and nodes that
    change their places need other layers.
    """
    rest = [node for node in nodes if node != head]
    first = () if len(rest) == len(nodes) else (head,)

    def enter(node: str) -> float:
        """From the head, where that has no layers, only tokens come."""
        return forward(head, node) if first else back(head, node)

    def round_of(order: Sequence[str]) -> float:
        return enter(order[0]) + sum(starmap(forward, pairwise(order))) + back(order[-1], head)

    if len(rest) < 2:
        return (*first, *rest)
    if len(rest) > MOST_EXACT:
        best = _nearest(rest, enter, forward)
    else:
        best = [rest[index] for index in _exact(rest, enter, forward, lambda node: back(node, head))]
    gains = round_of(rest) - round_of(best)
    return (*first, *(best if gains > least_gain else rest))


def _exact(
    nodes: Sequence[str], enter: Callable[[str], float], forward: Cost, leave: Callable[[str], float]
) -> tuple[int, ...]:
    """Held and Karp, "A Dynamic Programming Approach to Sequencing Problems" (1962): the best way to each last node
    of each set of nodes."""
    count = len(nodes)
    best: _Ways = {(1 << index, index): (enter(node), (index,)) for index, node in enumerate(nodes)}
    for _ in range(count - 1):
        following: _Ways = {}
        for (seen, last), (cost, way) in best.items():
            for index in range(count):
                if not seen & 1 << index:
                    key = seen | 1 << index, index
                    longer = cost + forward(nodes[last], nodes[index]), (*way, index)
                    following[key] = min(following.get(key, longer), longer)
        best = following
    return min((cost + leave(nodes[last]), way) for (_, last), (cost, way) in best.items())[1]


def _nearest(nodes: Sequence[str], enter: Callable[[str], float], forward: Cost) -> list[str]:
    left = list(nodes)
    way = [min(left, key=enter)]
    left.remove(way[0])
    while left:
        way.append(min(left, key=lambda node: forward(way[-1], node)))
        left.remove(way[-1])
    return way
