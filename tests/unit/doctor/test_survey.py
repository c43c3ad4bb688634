"""What the doctor says of the machines of a cluster."""

from __future__ import annotations

from dataclasses import replace

from cluster.api.nodes import NodeDevice, NodeLink, NodeStatus
from cluster.api.status import Condition, Health
from cluster.doctor.survey import check_survey

ONE = NodeStatus("one", "10.77.0.1", Health(), "0.1.0", 8, (NodeDevice("CPU", "cpu", 2, 1),), is_head=True)
TWO = replace(ONE, name="two", host="10.77.0.2", is_head=False)


def found(*nodes: NodeStatus) -> list[tuple[str, str]]:
    return [(check.verdict, check.name) for check in check_survey(nodes, "0.1.0")]


def test_nodes_that_are_well() -> None:
    assert found(ONE, TWO) == [("ok", "one in Ray"), ("ok", "two in Ray")]


def test_each_link_once_and_what_is_slow() -> None:
    fast, slow = NodeLink("two", 0.4, 5e8), NodeLink("one", 0.4, 5e8)
    nodes = (replace(ONE, links=(fast,)), replace(TWO, links=(slow,)))
    assert found(*nodes)[2:] == [("ok", "link one - two")] * 2
    far = (replace(ONE, links=(replace(fast, round_trip_ms=40.0, bytes_per_s=1e7),)), TWO)
    assert found(*far)[2:] == [("warn", "link one - two")] * 2


def test_who_is_lost_fails_only_where_something_was_computed_there() -> None:
    lost = replace(TWO, health=Health(Condition.LOST, "it does not take part now"))
    assert found(ONE, lost)[1] == ("warn", "two in Ray")
    assert found(ONE, replace(lost, stages=(1,)))[1] == ("fail", "two in Ray")


def test_another_version_is_named_with_both() -> None:
    (check,) = check_survey([replace(TWO, version="0.2.0")], "0.1.0")
    assert (check.verdict, check.found) == ("fail", "0.2.0 is installed there, 0.1.0 here")
