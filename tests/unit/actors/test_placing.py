"""By which plan a cluster of several nodes is brought up again, and what its user is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from cluster.actors.placing import Placing
from cluster.config import ClusterConfig, record_of
from cluster.demo import model_path
from cluster.node.state import ClusterState
from cluster.planning.any_plan import plan_model
from cluster.planning.model_plan import ModelPlan
from cluster.terminal.progress import Bar
from tests.fakes.fake_nodes import FakeNodes, fake_node

CONFIG = ClusterConfig(model=str(model_path()), ctx_size=64)


class Notes:
    """A `Progress` that remembers."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)

    def bars(self, states: Sequence[Bar]) -> None:
        return


def nodes(*names: str) -> FakeNodes:
    return FakeNodes(tuple(map(fake_node, names)))


@pytest.fixture(scope="module")
def before() -> ModelPlan:
    return plan_model(CONFIG, nodes=nodes("one", "two", "three"))


@pytest.fixture
def state(before: ModelPlan) -> ClusterState:
    """Nobody listens at its address: what the stages hold is not known."""
    return ClusterState(
        "i",
        "127.0.0.1:1",
        "n",
        True,
        "/run",
        "127.0.0.1:1",
        True,
        record_of(CONFIG),
        model_hash=before.coordinator.model_hash,
        bounds=before.bounds,
        devices=before.devices,
    )


def test_where_a_node_is_lost_the_layers_of_the_others_stay(before: ModelPlan, state: ClusterState) -> None:
    notes = Notes()
    plan = Placing(notes).plan_over(state, CONFIG, nodes("one", "three", "four"))
    assert plan.devices == ("one:CPU", "four:CPU", "three:CPU")
    assert plan.bounds == before.bounds
    first, end = before.bounds[1:3]
    kept = f"kept {8 - (end - first)} of 8 layers where they were"
    assert notes.texts == ["placing the layers anew, on four, one, three", kept]


def test_where_none_is_lost_nothing_is_placed_anew(before: ModelPlan, state: ClusterState) -> None:
    notes = Notes()
    plan = Placing(notes).plan_over(state, CONFIG, nodes("one", "two", "three", "four"))
    assert (plan.bounds, plan.devices) == (before.bounds, before.devices)
    assert notes.texts == []


def test_a_cluster_that_never_came_up_is_placed_as_any_new_one(state: ClusterState) -> None:
    notes = Notes()
    plan = Placing(notes).plan_over(replace(state, bounds=(), devices=()), CONFIG, nodes("one", "three", "four"))
    assert plan.devices == ("one:CPU", "three:CPU", "four:CPU")
    assert notes.texts == []
