"""The order in which rows pass the nodes, against trying all of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from cluster.planning.search.order import MOST_EXACT, Cost, best_order

NAMES = ("head", "a", "b", "c", "d")


def cost_of(costs: dict[frozenset[str], float]) -> Cost:
    return lambda node, other: 0.0 if node == other else costs[frozenset((node, other))]


def round_cost(order: Sequence[str], forward: Cost, back: Cost) -> float:
    enter = 0.0 if order[0] == "head" else back("head", order[0])
    return enter + sum(forward(*pair) for pair in itertools.pairwise(order)) + back(order[-1], "head")


@given(st.data(), st.booleans())
def test_no_order_is_better(data: st.DataObject, has_head: bool) -> None:
    pairs = [frozenset(pair) for pair in itertools.combinations(NAMES, 2)]
    steps = st.integers(0, 9).map(float) | st.just(math.inf)
    forward, back = (cost_of({pair: data.draw(steps) for pair in pairs}) for _ in range(2))
    nodes = NAMES if has_head else NAMES[1:]
    found = best_order(nodes, "head", forward, back)
    orders = [order for order in itertools.permutations(nodes) if not has_head or order[0] == "head"]
    assert sorted(found) == sorted(nodes)
    assert round_cost(found, forward, back) == min(round_cost(order, forward, back) for order in orders)


def test_of_equal_orders_it_is_the_one_that_was_there() -> None:
    same: Cost = lambda node, other: 1.0  # noqa: E731
    assert best_order(NAMES, "head", same, same) == NAMES
    assert best_order(("a", "head", "b"), "head", same, same) == ("head", "a", "b")
    assert best_order(("b", "a"), "head", same, same) == ("b", "a")
    assert best_order(("head",), "head", same, same) == ("head",)


def test_many_nodes_are_passed_from_near_to_near() -> None:
    """Nodes along a street, told in disorder."""
    places = {f"n{place}": place for place in (7, 3, 11, 1, 9, 5, 2, 10, 4, 8, 6, 12)} | {"head": 0}
    assert len(places) > MOST_EXACT + 1
    away: Cost = lambda node, other: float(abs(places[node] - places[other]))  # noqa: E731
    assert best_order(tuple(places), "head", away, away) == ("head", *(f"n{place}" for place in range(1, 13)))


def test_the_given_order_stays_unless_another_gains_enough() -> None:
    """Measured again, links that are nearly equal must not move a node's layers."""

    def costs(of_two: float) -> Cost:
        return lambda one, other: of_two if {one, other} == {"head", "two"} else 1.0

    nodes = ("head", "three", "two")
    for of_two in (0.4, 0.6, 0.8, 1.0, 1.2, 1.4):
        assert best_order(nodes, "head", costs(of_two), costs(1.0), least_gain=1.0) == nodes
    assert best_order(nodes, "head", costs(-0.5), costs(1.0), least_gain=1.0) == ("head", "two", "three")
