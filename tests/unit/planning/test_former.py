"""Where layers were before a device was lost, and which places keep them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.planning.former import Former
from cluster.planning.places import Place
from tests.fakes.fake_nodes import fake_node

NAMES = ("one", "two", "three", "four", "five", "six")
NODES = {name: fake_node(name) for name in NAMES}
THREE = Former((0, 3, 6, 8), ("one:CPU", "two:CPU", "three:CPU"))


def places_of(names: Sequence[str]) -> tuple[Place, ...]:
    return tuple(Place(NODES[name], NODES[name].probe.devices[0]) for name in names)


@pytest.mark.parametrize(
    ("left", "chosen", "kept"),
    [
        (["one", "three", "four"], ["one", "three", "four"], ["one", "four", "three"]),
        (["one", "three"], ["one", "three"], ["one", "three"]),
        (["one", "three"], ["three", "one"], ["one", "three"]),
        (["one", "three"], ["one", "one", "three"], ["one", "one", "three"]),
        (["one", "two"], ["one", "one", "two"], ["one", "two", "two"]),
        (["two", "three"], ["two", "two", "three"], ["two", "two", "three"]),
        (["one", "four"], ["one", "four"], ["one", "four"]),
        (["one", "three"], ["one"], []),
        (["one", "three", "four", "five"], ["one", "three", "four", "five"], []),
        (["four", "five"], ["four", "five"], []),
    ],
    ids=str,
)
def test_those_that_are_left_keep_their_places(left: list[str], chosen: list[str], kept: list[str]) -> None:
    found = THREE.places(places_of(chosen), [NODES[name] for name in left])
    assert [place.node.name for place in found] == kept


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6), st.sets(st.sampled_from(NAMES), min_size=1), st.data())
def test_whatever_is_lost_the_others_stay_in_order(before: list[str], left: set[str], data: st.DataObject) -> None:
    former = Former(tuple(range(len(before) + 1)), tuple(f"{name}:CPU" for name in before))
    chosen = data.draw(st.lists(st.sampled_from(sorted(left)), min_size=1, max_size=6))
    found = [place.node.name for place in former.places(places_of(chosen), [NODES[name] for name in sorted(left)])]
    living = [name for name in before if name in left]
    if found:
        assert len(found) == len(chosen)
        assert set(found) <= left, "no stage is on a node that is gone"
        rest = iter(found)
        assert all(name in rest for name in living), "in the former order"
    if len(chosen) == len(before) and living:
        kept = [name if name in left else "" for name in before]
        assert [name if was else "" for name, was in zip(found, kept, strict=True)] == kept, "each stage its number"


def test_it_tells_how_much_stays() -> None:
    assert THREE.held("two:CPU") == ((3, 6),)
    assert THREE.held("four:CPU") == ()
    assert THREE.told((0, 4, 8), ("one:CPU", "three:CPU")) == "kept 5 of 8 layers where they were"
    assert THREE.told((0, 8), ("four:CPU",)) == "kept 0 of 8 layers where they were"
    shared = Former((0, 3, 6, 8), ("one:CPU", "one:CPU", "two:CPU"))
    assert shared.held("one:CPU") == ((0, 3), (3, 6))
    assert shared.told((0, 5, 8), ("one:CPU", "two:CPU")) == "kept 7 of 8 layers where they were"
