"""A cluster that lost a node is planned anew: the others keep their layers, unless that is slow or does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.errors import CapacityError
from cluster.config import ClusterConfig
from cluster.planning.any_plan import plan_model
from cluster.planning.former import Former
from cluster.planning.measure.link import LinkFigures
from cluster.planning.model_plan import ModelPlan
from cluster.planning.staying import SLOWER, Candidate, fewest
from cluster.stage.spec import StageSpec
from cluster.synthetic.model import Shape, write_model
from tests.fakes.fake_nodes import FakeNodes, fake_node

MIB = 2**20
THREE, FIVE = ("one", "two", "three"), ("one", "two", "three", "four", "five")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> ClusterConfig:
    """24 equal layers, and little beside them."""
    path = tmp_path_factory.mktemp("model") / "model.gguf"
    write_model(path, Shape(24, 256, 8, 8, 704, vocab_size=1000), "Q8_0")
    return ClusterConfig(str(path), ctx_size=256)


def nodes(*names: str, **more: Any) -> FakeNodes:
    return FakeNodes(tuple(map(fake_node, names)), **more)


def replanned(config: ClusterConfig, before: ModelPlan, left: FakeNodes) -> ModelPlan:
    return plan_model(config, nodes=left, former=Former(before.bounds, before.devices))


def same_stages(before: ModelPlan, after: ModelPlan) -> list[int]:
    """Those that keep their processes: they are told the same."""
    pairs = zip(before.stages, after.stages, strict=False)
    return [stage for stage, (old, new) in enumerate(pairs) if is_same(old, new)]


def is_same(old: StageSpec, new: StageSpec) -> bool:
    return replace(old, source=new.source) == new


def num_kept(before: ModelPlan, after: ModelPlan) -> int:
    def where(plan: ModelPlan) -> dict[int, str]:
        return {
            layer: device
            for device, cut in zip(plan.devices, pairwise(plan.bounds), strict=True)
            for layer in range(*cut)
        }

    old, new = where(before), where(after)
    return sum(old[layer] == new[layer] for layer in old)


def test_a_node_that_is_idle_takes_the_place_of_the_lost_one(config: ClusterConfig) -> None:
    """In any other order the stages behind it would have other layers."""
    before = plan_model(config, nodes=nodes(*THREE))
    after = replanned(config, before, nodes("one", "three", "four"))
    assert after.devices == ("one:CPU", "four:CPU", "three:CPU")
    assert after.bounds == before.bounds
    assert same_stages(before, after) == [0, 2]
    assert after.coordinator.plan.endswith("repair: kept 16 of 24 layers where they were")
    afresh = plan_model(config, nodes=nodes("one", "three", "four"))
    assert afresh.devices == ("one:CPU", "three:CPU", "four:CPU"), "without a former plan nothing is changed"
    assert "kept" not in afresh.coordinator.plan


def test_a_way_that_is_much_slower_is_not_taken_for_it(config: ClusterConfig) -> None:
    """Node five would come in front of node three, which is far from it; by another way nobody waits for that link."""
    before = plan_model(config, nodes=nodes("one", "two", "three", "four"))
    assert before.devices == ("one:CPU", "two:CPU", "three:CPU", "four:CPU")
    left, far = ("one", "three", "four", "five"), {frozenset(("three", "five")): LinkFigures(0.4, 1e6)}
    after = replanned(config, before, nodes(*left, links=far))
    assert after.devices == ("one:CPU", "three:CPU", "four:CPU", "five:CPU")
    after = replanned(config, before, nodes(*left))
    assert after.devices == ("one:CPU", "five:CPU", "three:CPU", "four:CPU")
    after = replanned(config, before, nodes(*left, unreachable=[frozenset(("three", "five"))]))
    assert after.devices == ("one:CPU", "three:CPU", "four:CPU", "five:CPU")


def test_a_slow_node_gets_what_it_can_compute_in_time(config: ClusterConfig) -> None:
    before = plan_model(config, nodes=nodes(*THREE))
    after = replanned(config, before, nodes("one", "three", "four", speeds={"four:CPU": 2.5e9}))
    (first, end) = after.stages[1].first, after.stages[1].end
    assert after.stages[1].node == "four"
    assert end - first < 5
    assert after.stages[0].end >= 8
    assert after.stages[2].first <= 16


def test_fewer_nodes_move_fewer_layers_than_the_best_plan(config: ClusterConfig) -> None:
    before = plan_model(config, nodes=nodes(*FIVE))
    left = nodes(*FIVE[:4])
    best, after = plan_model(config, nodes=left), replanned(config, before, left)
    assert best.devices == after.devices == before.devices[:4]
    assert num_kept(before, after) > num_kept(before, best)
    most, least = (max(end - first for first, end in pairwise(plan.bounds)) for plan in (after, best))
    assert most <= least / (1 - SLOWER)


def test_memory_is_never_exceeded(config: ClusterConfig) -> None:
    """Node four has not the room for all layers of the lost one, which go to its neighbours then."""
    before = plan_model(config, nodes=nodes(*THREE))
    facts = (fake_node("one"), fake_node("three"), fake_node("four", free_bytes=20 * MIB))
    after = replanned(config, before, FakeNodes(facts))
    (small,) = (stage for stage in after.stages if stage.node == "four")
    assert small.end - small.first < 8
    assert num_kept(before, after) == 16
    with pytest.raises(CapacityError, match="does not fit"):
        replanned(config, before, FakeNodes(tuple(fake_node(name, free_bytes=MIB) for name in ("one", "three"))))


def test_devices_that_the_user_named_stay_in_the_user_s_order(config: ClusterConfig) -> None:
    before = plan_model(config, nodes=nodes(*THREE))
    named = replace(config, devices=("three:CPU", "one:CPU"))
    assert replanned(named, before, nodes("one", "three")).devices == named.devices


def test_layers_that_the_user_named_stay_cut_so(config: ClusterConfig) -> None:
    asked = replace(config, layers="0-3,4-15,16-23")
    before = plan_model(asked, nodes=nodes(*THREE))
    after = replanned(asked, before, nodes("one", "three", "four"))
    assert after.bounds == before.bounds == (0, 4, 16, 24)
    assert same_stages(before, after) == [0, 2]


def candidate(moves: tuple[int, int], *rates: float) -> Candidate:
    return Candidate(cast(Any, SimpleNamespace()), None, cast(Any, SimpleNamespace()), moves, rates)


def test_slower_than_the_bound_is_too_slow_for_one_or_for_all() -> None:
    best = candidate((9, 9), 100.0, 400.0)
    assert fewest([best, candidate((0, 0), 84.9, 400.0), candidate((0, 0), 100.0, 339.0)]) is best
    near = candidate((8, 9), 85.1, 340.1)
    assert fewest([best, near]) is near
    assert fewest([best, candidate((9, 9), 200.0, 800.0)]) is best


@given(st.lists(st.tuples(st.tuples(st.integers(0, 5), st.integers(0, 5)), *[st.integers(1, 200)] * 2), min_size=1))
def test_nobody_within_the_bound_moves_less(drawn: Sequence[tuple[tuple[int, int], int, int]]) -> None:
    candidates = [candidate(moves, one, every) for moves, one, every in drawn]
    taken, (first, *_) = fewest(candidates), candidates
    assert taken.moves <= first.moves
    for rate, best in zip(taken.rates, first.rates, strict=True):
        assert rate >= (1 - SLOWER) * best
    for one in candidates:
        if all(rate >= best for rate, best in zip(one.rates, first.rates, strict=True)):
            assert taken.moves <= one.moves, "what is no slower at all is within any bound"
