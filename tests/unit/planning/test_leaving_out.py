"""What a plan over several nodes says of each: whether it is of use, and if not, by what."""

from __future__ import annotations

import pytest

from cluster.config import ClusterConfig
from cluster.planning.inventory import take_inventory
from cluster.planning.measure.link import LinkFigures
from cluster.planning.report import PlanReport, report_model
from cluster.synthetic.model import Shape, write_model
from tests.fakes.fake_nodes import GIGABIT, FakeNodes, fake_node

SLOW = LinkFigures(round_trip_s=20e-3, bytes_per_s=10e6)
MIB = 2**20


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "model.gguf"
    write_model(path, Shape(12, 1024, 8, 8, 2816), "Q8_0")
    return str(path)


def planned(model: str, nodes: FakeNodes, **settings: object) -> PlanReport:
    config = ClusterConfig(model, ctx_size=512, **settings)  # type: ignore[arg-type]
    return report_model(take_inventory(config, nodes))


def test_a_node_behind_a_slow_link_is_named_with_what_it_costs(model: str) -> None:
    nodes = FakeNodes((fake_node("one"), fake_node("two")), links={frozenset(("one", "two")): SLOW})
    found = planned(model, nodes)
    assert [stage.node for stage in found.stages] == ["one", "two"]
    (first, second) = found.advice
    assert first.startswith("leave out two: ")
    assert first.endswith(
        "with --devices one:CPU; two adds 19.4 ms to a token: messages take 19.4 ms more "
        "(its link to one takes 20.0 ms there and back)"
    )
    assert second.startswith("leave out one: ")
    (alone,) = (one for one in found.without if one.node == "two")
    shown = planned(model, nodes, devices=("one:CPU",)).whole[0]
    assert alone.one_request_tokens_per_s == pytest.approx(1e3 / 6.0, rel=0.02)
    assert shown.one_request_tokens_per_s > 0


def test_a_node_that_is_slow_itself_is_named_for_computing(model: str) -> None:
    nodes = FakeNodes((fake_node("one"), fake_node("two")), speeds={"two:CPU": 0.05e9}, speed=2e9)
    config = {"layers": "0-5,6-11", "devices": ("one:CPU", "two:CPU")}
    (line,) = planned(model, nodes, **config).advice
    assert line.startswith("leave out two: ")
    assert (
        "ms to a token: messages take 1.0 ms more (its link to one takes 0.5 ms there and back) and computing" in line
    )


def test_a_node_without_which_the_model_does_not_fit_is_kept(model: str) -> None:
    small = {"free_bytes": 500 * MIB}
    nodes = FakeNodes(
        (fake_node("one", **small), fake_node("two", **small)),
        links={frozenset(("one", "two")): SLOW},  # type: ignore[arg-type]
    )
    found = planned(model, nodes)
    assert found.fits
    assert (found.advice, found.without) == ((), ())


def test_nodes_that_share_the_work_are_not_complained_of(model: str) -> None:
    """Where reading weights is what takes time, two nodes with all slots are faster than one."""
    found = planned(model, FakeNodes((fake_node("one"), fake_node("two")), speed=0.05e9))
    assert {one.node for one in found.without} == {"one", "two"}
    assert found.forecast.all_slots_tokens_per_s > 1.5 * max(one.all_slots_tokens_per_s for one in found.without)


def test_rows_take_the_way_around_a_slow_link(model: str) -> None:
    near = LinkFigures(0.3e-3, GIGABIT)
    names = ("one", "two", "three")
    links = {frozenset(("one", "two")): SLOW, frozenset(("one", "three")): near, frozenset(("two", "three")): near}
    found = planned(model, FakeNodes(tuple(map(fake_node, names)), links=links))
    assert [stage.node for stage in found.stages] == ["one", "three", "two"]
    assert "order: one, three, two, and back to the coordinator on one" in found.reasons
    assert sum(reason.startswith("link ") for reason in found.reasons) == 2
    blocked = FakeNodes(tuple(map(fake_node, names)), unreachable={frozenset(("one", "two"))})
    with pytest.raises(Exception, match="nodes one and two do not reach each other"):
        planned(model, blocked)


def test_a_gpu_on_another_node_is_planned_without_one_here(model: str) -> None:
    nodes = FakeNodes((fake_node("one"), fake_node("gpu", "CPU", "CUDA0")), speeds={"gpu:CUDA0": 500e9})
    found = planned(model, nodes)
    assert [(stage.node, stage.device, stage.end) for stage in found.stages] == [("gpu", "CUDA0", 12)]
    assert found.forecast.one_request_tokens_per_s > 500


def test_of_many_nodes_the_worst_are_told_of(model: str) -> None:
    nodes = FakeNodes(tuple(fake_node(f"n{number}") for number in range(6)))
    found = planned(model, nodes)
    told = [line.split(":")[0] for line in found.advice if line.startswith("leav")]
    assert len(told) == 4
    assert all(line.startswith("leave out n") for line in told[:3])
    assert found.advice[-1].startswith("leaving out one of n")
    assert len(found.without) == 6
