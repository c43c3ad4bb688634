"""Which device of which node a stage gets: pure, of nodes that are only told of."""

from __future__ import annotations

import pytest

from cluster.api.errors import UsageError
from cluster.config import ClusterConfig
from cluster.planning.places import choose_places
from tests.fakes.fake_nodes import FakeNodes, fake_node

ONE, TWO, THREE = (fake_node(name) for name in ("one", "two", "three"))
GPUS = fake_node("gpus", "CPU", "CUDA0", "CUDA1")


def names(*nodes: object, num_layers: int = 22, **settings: object) -> list[str]:
    config = ClusterConfig("m.gguf", **settings)  # type: ignore[arg-type]
    places, _ = choose_places(config, FakeNodes(nodes), num_layers)  # type: ignore[arg-type]
    return [place.name for place in places]


def test_a_lone_cpu_has_two_stages_and_each_of_several_has_one() -> None:
    assert names(ONE) == ["one:CPU"] * 2
    assert names(ONE, num_layers=1) == ["one:CPU"]
    assert names(ONE, TWO, THREE) == ["one:CPU", "two:CPU", "three:CPU"]


def test_gpus_of_all_nodes_go_before_cpus() -> None:
    assert names(ONE, GPUS) == ["gpus:CUDA0", "gpus:CUDA1"]
    assert names(fake_node("one", "CPU", "CUDA0"), GPUS) == ["one:CUDA0", "gpus:CUDA0", "gpus:CUDA1"]


def test_stages_of_one_node_follow_one_another() -> None:
    assert names(ONE, TWO, stages=4) == ["one:CPU", "one:CPU", "two:CPU", "two:CPU"]
    assert names(ONE, TWO, THREE, stages=2) == ["one:CPU", "two:CPU"]


def test_devices_are_named_with_their_node_or_taken_in_order() -> None:
    assert names(ONE, GPUS, devices=("gpus:CUDA1", "one:CPU")) == ["gpus:CUDA1", "one:CPU"]
    assert names(ONE, GPUS, devices=("CUDA1", "CPU", "CPU")) == ["gpus:CUDA1", "one:CPU", "gpus:CPU"]
    assert names(ONE, devices=("CPU", "one:CPU")) == ["one:CPU"] * 2


def test_who_is_not_there_is_named_beside_those_who_are() -> None:
    with pytest.raises(UsageError, match=r"^devices: no 'four:CPU' on any node; there are one:CPU, two:CPU$"):
        names(ONE, TWO, devices=("four:CPU",))
    with pytest.raises(UsageError, match=r"^devices: no 'CUDA7' on this machine; there are CPU$"):
        names(ONE, devices=("CUDA7",))
