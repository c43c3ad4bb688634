"""Threads and cores of stages: each node's own, divided among the stages that it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.api.errors import UsageError
from cluster.config import ClusterConfig
from cluster.demo import model_path
from cluster.planning.any_plan import check_any
from cluster.planning.inventory import Inventory, take_inventory
from cluster.planning.nodes import Freed, Nodes, ThisMachine, survey_this_node
from tests.fakes.fake_nodes import GIB, FakeNodes, fake_node
from tests.native.arch_models import write_model
from tests.native.tiny_encoder import write_encoder

NODES = FakeNodes((fake_node("one", num_cores=2), fake_node("two", num_cores=8)))


def inventory(nodes: Nodes = NODES, **settings: object) -> Inventory:
    return take_inventory(ClusterConfig(str(model_path()), ctx_size=64, **settings), nodes)  # type: ignore[arg-type]


def threads(found: Inventory) -> list[tuple[int, int, int | None]]:
    stages = range(len(found.places))
    return [(found.num_threads(stage), found.threads_exclusive(stage), found.first_core(stage)) for stage in stages]


def test_a_stage_alone_on_its_node_has_all_its_cores() -> None:
    assert threads(inventory()) == [(2, 2, 0), (8, 8, 0)]


def test_stages_of_one_node_share_and_lend_its_cores_only() -> None:
    found = inventory(devices=("one:CPU", "two:CPU", "two:CPU"))
    assert threads(found) == [(2, 2, 0), (4, 8, 0), (4, 8, 4)]
    assert threads(inventory(devices=("one:CPU", "two:CPU", "two:CPU"), lend_cores=False))[1:] == [(4, 4, 0), (4, 4, 4)]


def test_threads_that_do_not_fill_a_node_are_free_to_move() -> None:
    found = inventory(devices=("one:CPU", "two:CPU", "two:CPU"), threads=2)
    assert threads(found) == [(2, 2, 0), (2, 4, None), (2, 4, None)]


def test_a_gpu_takes_no_cores_from_the_stages_that_are_bound() -> None:
    found = inventory(FakeNodes((fake_node("one", "CPU", "CUDA0"),)), devices=("CUDA0", "CPU"), threads=4)
    assert threads(found) == [(4, 4, None), (4, 4, 0)]


def test_a_machine_alone_is_surveyed_where_nobody_else_is_named() -> None:
    found = inventory(ThisMachine())
    assert [place.name for place in found.places] == ["localhost:CPU"] * 2
    assert found.is_on_head and not inventory().is_on_head
    assert (found.head.name, found.head.num_cores) == ("localhost", survey_this_node().num_cores)


def test_what_nodes_say_later_is_not_mixed_with_what_they_said() -> None:
    """Memory that is free is another with each look."""

    class Restless(FakeNodes):
        looks = 0

        def __getattribute__(self, name: str) -> object:
            if name == "facts":
                Restless.looks += 1
                return tuple(fake_node(node, free_bytes=GIB + Restless.looks) for node in ("one", "two"))
            return super().__getattribute__(name)

    found = inventory(Restless(()), devices=("one:CPU", "one:CPU"))
    assert found.is_on_head
    assert Restless.looks == 1


def test_what_the_stages_of_a_cluster_hold_is_free_for_the_plan_after_it() -> None:
    nodes = FakeNodes((fake_node("one", "CPU", "CUDA0", free_bytes=4 * GIB), fake_node("two", free_bytes=4 * GIB)))
    one, two = Freed(nodes, {"one:CUDA0": GIB, "two:CPU": 100 * GIB, "three:CPU": GIB}).facts
    assert [device.memory_free_bytes // GIB for device in one.probe.devices] == [4, 5]
    assert [device.memory_free_bytes // GIB for device in two.probe.devices] == [8], "no more than there is"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"ctx_size": 8192}, "ctx-size: 8192 is more than the 4096 tokens"),
        ({"stages": 99}, "stages: 99 for a model of 8 layers"),
        ({"devices": ("one:CPU",) * 9}, "stages: 9 for a model of 8 layers"),
        ({"lora": ("/nowhere/a.gguf:0.5",)}, "lora: /nowhere/a.gguf: no such file"),
        ({"lora": (str(model_path()),)}, "lora: .*demo.gguf: general.type is missing, must be 'adapter'"),
    ],
)
def test_what_cannot_be_is_found_before_any_machine_is_looked_at(settings: dict[str, Any], why: str) -> None:
    check_any(ClusterConfig(str(model_path()), ctx_size=64))
    with pytest.raises(UsageError, match=why):
        check_any(ClusterConfig(str(model_path()), **settings))


def test_an_encoder_gets_one_stage_where_nobody_asks_for_more(tmp_path: Path) -> None:
    path = write_encoder(tmp_path / "encoder.gguf", pooling=1)
    for nodes in (FakeNodes((fake_node("one", "CPU"),)), FakeNodes((fake_node("one", "CPU", "CUDA0", "CUDA1"),))):
        assert len(take_inventory(ClusterConfig(str(path), ctx_size=32), nodes).places) == 1


def test_a_model_whose_slices_round_otherwise_is_cut_for_whoever_allows_it(tmp_path: Path) -> None:
    path = write_model(tmp_path / "large.gguf", "command-r-plus")
    nodes = FakeNodes((fake_node("one", "CPU", "CUDA0", "CUDA1"),))
    for settings in ({}, {"stages": 2}):
        with pytest.raises(UsageError, match=r"stages: 2, but slices add .* order .*; give --allow-rounding to cut it"):
            take_inventory(ClusterConfig(str(path), ctx_size=32, **settings), nodes)
    with pytest.raises(UsageError, match="give --allow-rounding"):
        check_any(ClusterConfig(str(path), ctx_size=32, stages=2))
    found = take_inventory(ClusterConfig(str(path), ctx_size=32, allow_rounding=True), nodes)
    assert (len(found.cuts), len(found.places)) == (63, 2)
    assert "in another order" in found.rounding
    assert take_inventory(ClusterConfig(str(path), ctx_size=32, stages=1), nodes).rounding == ""
