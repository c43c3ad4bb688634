"""A plan for the shipped model on this machine: placed anew, or as a living cluster was placed."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.config import ClusterConfig
from cluster.demo import model_path
from cluster.planning.any_plan import plan_model
from cluster.stage.spec import spec_of_record, spec_record
from tests.fakes.adapters import write_adapter
from tests.fakes.fake_nodes import FakeNodes, fake_node

CONFIG = ClusterConfig(model=str(model_path()), stages=3, devices=("CPU",) * 3, ctx_size=64, threads=1)


def test_a_plan_covers_all_layers_and_says_where_they_were_cut() -> None:
    plan = plan_model(CONFIG)
    assert [stage.stage for stage in plan.stages] == [0, 1, 2]
    assert (plan.bounds[0], plan.bounds[-1]) == (0, 8)
    assert [(stage.first, stage.end) for stage in plan.stages] == list(zip(plan.bounds, plan.bounds[1:], strict=False))


def test_a_living_cluster_is_not_placed_anew() -> None:
    """Its own weights take the memory that a placement would look for."""
    plan = plan_model(CONFIG, bounds=(0, 1, 2, 8))
    assert [(stage.first, stage.end) for stage in plan.stages] == [(0, 1), (1, 2), (2, 8)]
    assert plan.bounds == (0, 1, 2, 8)
    assert plan.stages[0].model_hash == plan_model(CONFIG).stages[0].model_hash


def test_a_plan_says_why_the_layers_are_where_they_are() -> None:
    assert plan_model(CONFIG).coordinator.plan.startswith("cuts: 7 of 7 places between 8 layers are legal")
    assert plan_model(replace(CONFIG, layers="0-1,2-5,6-7")).coordinator.plan.endswith("the cuts are as --layers says")
    assert "before the repair" in plan_model(CONFIG, bounds=(0, 1, 2, 8)).coordinator.plan


def test_a_stage_that_computes_alone_has_no_more_threads_than_there_are_cores() -> None:
    """Three threads on two cores wait for each other at every barrier."""
    num_cores = len(os.sched_getaffinity(0))
    lent = {stage.num_threads_exclusive for stage in plan_model(replace(CONFIG, threads=num_cores - 1 or 1)).stages}
    assert lent == {num_cores}


def test_each_stage_is_told_its_node_and_has_that_node_s_cores() -> None:
    nodes = FakeNodes((fake_node("one", num_cores=2), fake_node("two", num_cores=6)))
    plan = plan_model(ClusterConfig(model=str(model_path()), ctx_size=64), nodes=nodes)
    assert [(stage.node, stage.device, stage.num_threads) for stage in plan.stages] == [
        ("one", "CPU", 2),
        ("two", "CPU", 6),
    ]
    assert plan.devices == ("one:CPU", "two:CPU")
    assert plan.bounds == (0, 2, 8), "three times as many cores: three times as many layers"


def test_what_lives_is_planned_at_its_places_and_measures_nothing() -> None:
    nodes = FakeNodes((fake_node("one"), fake_node("two")))
    config = ClusterConfig(model=str(model_path()), ctx_size=64)
    plan = plan_model(config, (0, 5, 8), nodes, ("two:CPU", "one:CPU"))
    assert [(stage.node, stage.end) for stage in plan.stages] == [("two", 5), ("one", 8)]
    assert nodes.asked == []


@pytest.mark.parametrize("names", [("one",), ("one", "two")])
def test_all_stages_are_told_the_adapters(tmp_path: Path, names: tuple[str, ...]) -> None:
    adapter = write_adapter(tmp_path / "a.gguf", model_path())
    config = replace(CONFIG, stages=2 if len(names) == 1 else None, devices=(), lora=(f"{adapter}:0.5",))
    plan = plan_model(config, nodes=FakeNodes(tuple(map(fake_node, names))))
    assert {stage.node for stage in plan.stages} == set(names)
    assert [(one.name, one.scale) for one in plan.coordinator.adapters] == [("a.gguf", 0.5)]
    for stage in plan.stages:
        (told,) = stage.options.adapters
        assert (told.path, told.scale) == (str(adapter), 0.5)
        record = spec_record(stage)
        assert json.loads(json.dumps(record)) == record
        assert spec_of_record(record, stage.source) == stage
