"""What messages between nodes take, and in which order links are measured."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.errors import UnreachableError
from cluster.engine.cost.decode import DecodePlan
from cluster.engine.cost.tuning import HOP_MS, LEAST_LEAD_S
from cluster.messages.stage import StageCosts
from cluster.planning.links import Links, Route, find_links, pair_of, rounds, route_pairs
from cluster.planning.measure.link import LinkFigures
from tests.fakes.fake_nodes import FakeNodes, fake_node

FAR = LinkFigures(round_trip_s=20e-3, bytes_per_s=1e6)
NEAR = LinkFigures(round_trip_s=6e-3, bytes_per_s=100e6)
LINKS = Links({("one", "two"): FAR, ("one", "three"): NEAR, ("three", "two"): NEAR})
STAGE = StageCosts(((1, 10.0), (8, 20.0)))


@given(st.integers(2, 7))
def test_all_pairs_are_measured_once_and_no_node_twice_at_a_time(count: int) -> None:
    pairs = set(itertools.combinations([f"n{number}" for number in range(count)], 2))
    found = list(rounds(pairs))
    assert sorted(pair for together in found for pair in together) == sorted(pairs)
    for together in found:
        nodes = [node for pair in together for node in pair]
        assert len(nodes) == len(set(nodes))


def test_a_message_takes_half_a_round_trip_and_its_bytes() -> None:
    assert LINKS.message_ms("one", "two") == 10.0
    assert LINKS.message_ms("two", "one", 5000) == 15.0
    assert LINKS.message_ms("two", "two", 5000) == HOP_MS
    assert Links({("a", "b"): replace(NEAR, round_trip_s=1e-5)}).message_ms("a", "b") == HOP_MS


def test_a_round_is_all_hops_and_the_way_back() -> None:
    costs = Route(("one", "three", "two"), "one", LINKS, 2000).costs([STAGE] * 3)
    hops_ms, rows_ms = 3.0 + 3.0, 0.02 + 0.02
    assert costs.round_ms(DecodePlan(1, exclusive=False), 1) == pytest.approx(30.0 + hops_ms + rows_ms + 10.0)
    # From the last stage to the coordinator, which is beside the first one.
    many_ms = costs.round_ms(DecodePlan(3, exclusive=False), 3)
    assert many_ms == pytest.approx(30.0 + hops_ms + rows_ms + 10.0)
    away = Route(("three", "two"), "one", LINKS, 2000).costs([STAGE] * 2)
    assert away.round_ms(DecodePlan(2, exclusive=False), 2) == pytest.approx(20.0 + 3.0 + 0.02 + 10.0 + 3.0)
    assert away.round_ms(DecodePlan(1, exclusive=False), 1) == pytest.approx(20.0 + 3.0 + 0.02 + 3.0)


def test_a_narrow_link_is_a_stage_that_is_slow() -> None:
    costs = Route(("one", "two"), "one", LINKS, 20_000).costs([STAGE] * 2)
    assert costs.narrowest_row_ms == 20.0
    assert costs.round_ms(DecodePlan(2, exclusive=False), 16) == 2 * 8 * 20.0


def test_a_lone_stage_waits_for_what_comes_later_than_it_is_sent_ahead() -> None:
    assert Route(("one",), "one", LINKS, 4).costs([STAGE]).hop_ms == HOP_MS
    assert Route(("three",), "one", LINKS, 4).costs([STAGE]).hop_ms == max(HOP_MS, 6.0 - 1e3 * LEAST_LEAD_S)
    assert Route(("two",), "one", LINKS, 4).costs([STAGE]).hop_ms == 20.0 - 1e3 * LEAST_LEAD_S


def test_who_does_not_reach_whom_is_said_when_it_matters() -> None:
    nodes = FakeNodes(tuple(map(fake_node, ("one", "two", "three"))), unreachable={frozenset(("two", "three"))})
    links = find_links(nodes, itertools.combinations(("one", "two", "three"), 2))
    assert links.reaches("one", "two") and not links.reaches("two", "three")
    with pytest.raises(UnreachableError, match=r"^nodes two and three do not reach each other: .*; open"):
        links.message_ms("two", "three")
    assert route_pairs(("one", "two"), "one") == [pair_of("two", "one")] * 3
